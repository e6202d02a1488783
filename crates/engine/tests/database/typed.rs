//! Typed tables: order, checks of types, the byte view.

use aquifer::{Database, Error, ErrorKind, Table, TableDef, TableOptions, WriteBatch};

const USERS: TableDef<str, u64> = TableDef::new("users");
const POINTS: TableDef<(i32, i32), f64> = TableDef::new("points");

fn database() -> Database {
    Database::in_memory(8 << 20).unwrap()
}

#[test]
fn values_come_back_as_what_they_were() {
    let db = database();
    let users = USERS.open_or_create(&db).unwrap();
    users.put("ada", &36).unwrap();
    assert_eq!(users.get("ada").unwrap(), Some(36));
    assert_eq!(users.replace("ada", &37).unwrap(), Some(36));
    assert_eq!(users.take("ada").unwrap(), Some(37));
    assert_eq!(users.multi_get(["ada", "bob"]).unwrap(), [None, None]);
}

#[test]
fn signed_tuples_are_in_their_order() {
    let db = database();
    let points = POINTS.create(&db, TableOptions::default()).unwrap();
    let sorted = [(-7, 3), (-7, 4), (-1, -1), (0, i32::MIN), (0, 0), (5, -9)];
    for &(x, y) in sorted.iter().rev() {
        points.put(&(x, y), &f64::from(x * 10 + y % 10)).unwrap();
    }
    let found: Vec<(i32, i32)> = points.iter().map(|record| record.unwrap().0).collect();
    assert_eq!(found, sorted);
    assert_eq!(points.range((-7, 4)..(0, 0)).count(), 3);
    assert_eq!(points.last().unwrap().unwrap().0, (5, -9));
}

#[test]
fn strings_have_ranges_and_prefixes() {
    let db = database();
    let users = USERS.open_or_create(&db).unwrap();
    for (number, name) in ["alan", "alice", "bob"].into_iter().enumerate() {
        users.put(name, &(number as u64)).unwrap();
    }
    let names = |range: &mut dyn Iterator<Item = aquifer::Result<(String, u64)>>| -> Vec<String> {
        range.map(|record| record.unwrap().0).collect()
    };
    assert_eq!(names(&mut users.range("alice"..)), ["alice", "bob"]);
    assert_eq!(names(&mut users.range("a".to_string().."b".to_string())), ["alan", "alice"]);
    assert_eq!(names(&mut users.prefix("al").rev()), ["alice", "alan"]);
}

#[test]
fn a_table_is_opened_with_the_types_it_was_made_with() {
    let db = database();
    USERS.create(&db, TableOptions::default()).unwrap();
    match TableDef::<u64, u64>::new("users").open(&db) {
        Err(Error::TypeMismatch { stored, asked, .. }) => {
            assert_eq!(stored, "keys str and values u64");
            assert_eq!(asked, "keys u64 and values u64");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(TableDef::<str, u32>::new("users").open(&db).unwrap_err().kind(), ErrorKind::Usage);
    assert!(TableDef::<String, u64>::new("users").open(&db).is_ok(), "the same encoding");
    assert!(matches!(POINTS.open(&db), Err(Error::TableNotFound { .. })));
    assert!(matches!(USERS.create(&db, TableOptions::default()), Err(Error::TableExists { .. })));
    let info = &db.tables()[0];
    assert_eq!((info.key_type.as_str(), info.value_type.as_str()), ("str", "u64"));
}

#[test]
fn any_table_can_be_seen_as_bytes() {
    let db = database();
    let users = USERS.open_or_create(&db).unwrap();
    users.put("ada", &36).unwrap();
    let bytes: Table = db.table("users").unwrap();
    assert_eq!(bytes.get(b"ada").unwrap(), Some(36u64.to_le_bytes().to_vec()));
    bytes.put(b"odd", b"xyz").unwrap();
    match users.get("odd") {
        Err(Error::Decode { table, .. }) => assert_eq!(table, "users"),
        other => panic!("{other:?}"),
    }
    let records: Vec<_> = users.iter().collect();
    assert_eq!(records.len(), 2);
    assert!(records[0].is_ok() && records[1].is_err());
}

#[test]
fn batches_are_typed() {
    let db = database();
    let users = USERS.open_or_create(&db).unwrap();
    let points = POINTS.open_or_create(&db).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(&users, "ada", &1);
    batch.put(&points, &(0, -1), &0.5);
    batch.delete(&users, "bob");
    db.write(&mut batch, Default::default()).unwrap();
    assert_eq!(users.get("ada").unwrap(), Some(1));
    assert_eq!(points.get(&(0, -1)).unwrap(), Some(0.5));
}

#[test]
fn definitions_and_handles_are_cheap_and_shared() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let db = database();
    let users = USERS.open_or_create(&db).unwrap();
    shared(&db);
    shared(&users);
    shared(&USERS);
    assert_eq!(USERS.name(), "users");
    assert_eq!(users.name(), "users");
    assert!(users.database().is_in_memory());
}
