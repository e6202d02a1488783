//! What contradicts itself is found, and what does not is put in order.

use super::*;
use Operation::{Append, Read as ReadList};

fn append(key: u64, value: u64) -> Operation {
    Append { key, value }
}

fn read(key: u64, list: &[u64]) -> Operation {
    ReadList { key, list: list.to_vec() }
}

fn committed(operations: &[Operation]) -> Transaction {
    Transaction::committed(0, 1, operations.to_vec())
}

fn with_outcome(outcome: Outcome, operations: &[Operation]) -> Transaction {
    Transaction { outcome, ..committed(operations) }
}

#[test]
fn versions_are_in_the_order_of_the_longest_list() {
    let inferred = infer(&[
        committed(&[append(1, 10), append(1, 11)]),
        committed(&[read(1, &[10, 11]), append(1, 20)]),
        committed(&[append(1, 30)]),
        committed(&[read(1, &[10, 11, 20])]),
        committed(&[read(2, &[])]),
    ])
    .unwrap();
    assert_eq!(inferred.keys[&1].writers, [0, 0, 1]);
    assert_eq!(inferred.keys[&1].behind, [2]);
    assert_eq!(inferred.reads.len(), 3);
    assert_eq!(inferred.reads[0], Read { reader: 1, key: 1, len: 2 });
}

#[test]
fn own_appends_are_read_and_do_not_count_as_read() {
    let own = [append(1, 5), read(1, &[9, 5]), append(1, 6), read(1, &[9, 5, 6])];
    let inferred = infer(&[committed(&[append(1, 9)]), committed(&own)]).unwrap();
    assert_eq!(inferred.reads, [Read { reader: 1, key: 1, len: 1 }]);
    let contradictions = [
        vec![append(1, 5), read(1, &[9])],
        vec![append(1, 5), read(1, &[5, 9])],
        vec![read(1, &[]), read(1, &[9])],
        vec![read(1, &[9]), append(1, 5), read(1, &[5])],
        vec![read(1, &[9]), read(1, &[])],
    ];
    for operations in contradictions {
        let found = infer(&[committed(&[append(1, 9)]), committed(&operations)]).unwrap_err();
        assert_eq!(found, Anomaly::Internal { transaction: 1, key: 1 }, "{operations:?}");
    }
}

#[test]
fn what_nobody_committed_must_not_be_read() {
    let aborted = with_outcome(Outcome::Aborted, &[append(1, 1)]);
    let reader = committed(&[read(1, &[1])]);
    let found = infer(&[aborted, reader.clone()]).unwrap_err();
    assert_eq!(found, Anomaly::AbortedRead { reader: 1, writer: 0, key: 1, value: 1 });
    let unknown = with_outcome(Outcome::Unknown, &[append(1, 1), append(2, 7)]);
    assert_eq!(infer(&[unknown.clone(), reader]).unwrap().counts, [true, true]);
    assert_eq!(infer(&[unknown, committed(&[read(1, &[])])]).unwrap().counts, [false, true]);
}

#[test]
fn lists_of_nowhere_are_refused() {
    let writer = committed(&[append(1, 1), append(1, 2)]);
    let judged = |operations: &[Operation]| infer(&[writer.clone(), committed(operations)]).unwrap_err();
    assert_eq!(judged(&[read(1, &[1, 3])]), Anomaly::Invented { reader: 1, key: 1, value: 3 });
    assert_eq!(judged(&[read(1, &[1, 2, 1])]), Anomaly::Repeated { reader: 1, key: 1, value: 1 });
    assert_eq!(
        judged(&[read(1, &[1])]),
        Anomaly::IntermediateRead { reader: 1, writer: 0, key: 1, value: 1 }
    );
    assert_eq!(judged(&[append(1, 2)]), Anomaly::AppendedTwice { key: 1, value: 2 });
    let found = infer(&[
        writer.clone(),
        committed(&[append(1, 3)]),
        committed(&[read(1, &[1, 2, 3])]),
        committed(&[read(1, &[3, 1, 2])]),
    ]);
    assert_eq!(found.unwrap_err(), Anomaly::IncompatibleOrder { key: 1, readers: [2, 3] });
}
