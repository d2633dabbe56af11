//! The daemon's program: arguments, the library, an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    fallbackd::daemon::main()
}
