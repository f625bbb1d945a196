//! SIGINT and SIGTERM: the first asks the engine to finish its epoch, the second ends the process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A flag that the first SIGINT or SIGTERM sets. The second of either ends the process at once,
/// with 128 and the signal's number as shells do.
///
/// # Errors
/// If the handlers cannot be registered.
pub fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag still down, sets it, and goes on.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::atomic::Ordering;

    use signal_hook::low_level::raise;

    use super::*;

    /// Set in the process that the test starts of itself, to be ended.
    const CHILD: &str = "RIFFLE_SIGNALS_TEST_CHILD";

    #[test]
    fn the_first_signal_sets_the_flag_and_the_second_ends_the_process() {
        if std::env::var_os(CHILD).is_none() {
            let this = std::env::current_exe().unwrap();
            let name = "the_first_signal_sets_the_flag_and_the_second_ends_the_process";
            let child = Command::new(this)
                .arg(name)
                .env(CHILD, "1")
                .output()
                .unwrap();
            assert_eq!(child.status.code(), Some(128 + SIGTERM), "{child:?}");
            return;
        }
        let stop = stop_flag().unwrap();
        assert!(!stop.load(Ordering::SeqCst));
        raise(SIGINT).unwrap();
        assert!(stop.load(Ordering::SeqCst));
        raise(SIGTERM).unwrap();
        unreachable!("the second signal ends the process");
    }
}
