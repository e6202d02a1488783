//! Tests of `error`.

use super::*;

fn io_error(kind: io::ErrorKind) -> IoError {
    IoError { operation: "write", file: "data".into(), offset: 4096, len: 4096, kind, message: "no".into() }
}

#[test]
fn a_full_disk_has_its_own_kind() {
    assert_eq!(Error::from(io_error(io::ErrorKind::StorageFull)).kind(), ErrorKind::DiskFull);
    assert_eq!(Error::from(io_error(io::ErrorKind::QuotaExceeded)).kind(), ErrorKind::DiskFull);
    assert_eq!(Error::from(io_error(io::ErrorKind::Other)).kind(), ErrorKind::Io);
}

#[test]
fn errors_from_below_keep_their_kind_and_place() {
    let poisoned = aquifer_wal::Error::Poisoned { cause: "sync failed".into() };
    assert_eq!(Error::from(poisoned).kind(), ErrorKind::Poisoned);
    let io = aquifer_buffer::Error::Io(io_error(io::ErrorKind::StorageFull));
    assert_eq!(Error::from(io).kind(), ErrorKind::DiskFull);
    let corrupt = aquifer_wal::Error::Corrupt {
        file: "log/0000000001".into(),
        offset: 8192,
        lsn: aquifer_wal::Lsn(7),
        what: "checksum".into(),
    };
    let error = Error::from(corrupt);
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("log/0000000001") && error.to_string().contains("8192"));
}

#[test]
fn an_error_fits_where_results_are_returned() {
    assert!(size_of::<Error>() <= 104, "{} bytes", size_of::<Error>());
}
