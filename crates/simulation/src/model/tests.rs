//! The model allows what it should, and nothing else.

use super::*;

fn change(table: &str, key: &str, value: Option<&str>) -> Commit {
    Commit::Change(vec![(table.into(), key.into(), value.map(Into::into))])
}

fn model() -> Model {
    let mut model = Model::default();
    let instance = model.new_instance();
    model.commit(Commit::Create { name: "l".into(), instance, logged: true });
    let instance = model.new_instance();
    model.commit(Commit::Create { name: "u".into(), instance, logged: false });
    model.is_durable(2);
    model
}

fn found(l: &[(&str, &str)], u: &[(&str, &str)]) -> Found {
    let rows = |of: &[(&str, &str)]| of.iter().map(|&(k, v)| (k.into(), v.into())).collect();
    [("l".to_owned(), (true, rows(l))), ("u".to_owned(), (false, rows(u)))].into()
}

#[test]
fn a_prefix_with_all_that_was_acknowledged_is_allowed() {
    let mut model = model();
    model.commit(change("l", "a", Some("1")));
    model.commit(change("l", "a", Some("2")));
    model.is_durable(3);
    model.commit(change("l", "b", Some("3")));
    model.is_written(5);
    let states: [&[(&str, &str)]; 4] = [&[], &[("a", "1")], &[("a", "2")], &[("a", "2"), ("b", "3")]];
    let allowed = |killed, damaged| {
        states.map(|rows| model.clone().crashed(&found(rows, &[]), killed, damaged).is_ok())
    };
    assert_eq!(allowed(false, false), [false, true, true, true]);
    assert_eq!(allowed(true, false), [false, false, false, true]);
    assert_eq!(allowed(false, true), [true, true, true, true]);
    assert!(model.clone().crashed(&found(&[("b", "3")], &[]), false, true).is_err(), "no prefix");
}

#[test]
fn unlogged_tables_come_back_as_of_a_checkpoint() {
    let mut model = model();
    model.commit(change("u", "a", Some("1")));
    model.checkpointed();
    model.commit(change("u", "a", Some("2")));
    let allowed =
        |model: &Model, value| model.clone().crashed(&found(&[], &[("a", value)]), false, false).is_ok();
    assert!(allowed(&model, "1") && !allowed(&model, "2"));
    model.maybe_checkpointed();
    assert!(allowed(&model, "1") && allowed(&model, "2"));
    assert!(!model.is_checkpointed(4) && model.is_checkpointed(3));
    model.checkpointed();
    assert!(!allowed(&model, "1") && allowed(&model, "2"));
}

#[test]
fn a_table_made_again_has_nothing_of_the_one_before() {
    let mut model = model();
    model.commit(change("u", "a", Some("1")));
    model.checkpointed();
    model.commit(Commit::Drop { name: "u".into() });
    let instance = model.new_instance();
    model.commit(Commit::Create { name: "u".into(), instance, logged: false });
    model.is_durable(5);
    assert!(model.clone().crashed(&found(&[], &[("a", "1")]), false, false).is_err());
    assert!(model.crashed(&found(&[], &[]), false, false).is_ok());
}
