//! Parsing of the kernel's text.

use super::Resident;

#[test]
fn figures_are_found_among_others() {
    let status = "Name:\taquifer\nVmPeak:\t  999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t1\n";
    let resident = Resident::parse(status).unwrap();
    assert_eq!(resident, Resident { now_bytes: 1 << 20, peak_bytes: 2 << 20 });
}

#[test]
fn a_missing_figure_is_an_error() {
    assert_eq!(Resident::parse("VmRSS:\t 1 kB\n").unwrap_err().to_string(), "no VmHWM in kB");
    assert_eq!(Resident::parse("VmRSS:\t many\nVmHWM:\t1 kB").unwrap_err().to_string(), "no VmRSS in kB");
}

#[test]
fn this_process_is_resident() {
    let resident = Resident::read().unwrap();
    assert!(resident.now_bytes > 0 && resident.peak_bytes > 0, "{resident:?}");
}
