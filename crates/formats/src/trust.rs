//! Whether wrong checksums are let pass: a fuzzer, or a test that changes files, would otherwise not get past them.

#[cfg(test)]
thread_local! {
    static TRUSTS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Lets checksums be wrong in this thread from now on.
#[cfg(test)]
pub(crate) fn trust() {
    TRUSTS.set(true);
}

/// Whether checksums may be wrong: never in a program.
pub(crate) fn trusts() -> bool {
    #[cfg(test)]
    if TRUSTS.get() {
        return true;
    }
    cfg!(fuzzing)
}
