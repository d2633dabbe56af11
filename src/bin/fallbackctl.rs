//! The command people type. Everything it does is in the library's `ctl` module; this file only
//! hands the exit code to the system.

use std::process::ExitCode;

fn main() -> ExitCode {
    fallbackd::ctl::main()
}
