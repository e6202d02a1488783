//! Tests only: a kernel that refuses system calls, as containers, old kernels and odd file systems do.

use libc::sock_filter;

/// A system call that fails.
pub(super) struct Refusal {
    /// Its number.
    pub(super) call: libc::c_long,
    /// The error.
    pub(super) errno: i32,
    /// Only if this argument (counted from 0) has one of these bits.
    pub(super) flag: Option<(u32, u32)>,
}

/// Refuses a system call to the calling thread, and to those that it starts, from now on.
pub(super) fn refuse(refusal: &Refusal) {
    let statement = |code: u32, k: u32| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let load = |offset: u32| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let jump = |test: u32, k: u32| statement(libc::BPF_JMP | test | libc::BPF_K, k);
    // In `seccomp_data`, the call's number is the first word, and the arguments are 64-bit words from byte 16 on.
    let (argument, bits) = refusal.flag.unwrap_or((0, u32::MAX));
    let argument = 16 + 8 * argument + if cfg!(target_endian = "big") { 4 } else { 0 };
    let test = if refusal.flag.is_some() { jump(libc::BPF_JSET, bits) } else { jump(libc::BPF_JGE, 0) };
    let mut filter = [
        load(0),
        sock_filter { jf: 3, ..jump(libc::BPF_JEQ, refusal.call as u32) },
        load(argument),
        sock_filter { jf: 1, ..test },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | refusal.errno as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its filter outlive the calls, which copy them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}
