//! The daemon's program: arguments, the library, an exit code.
//!
//! It brings its own allocator. A request makes some hundred small allocations of many sizes, and
//! a crowd of clients leaves holes behind: jemalloc is quicker at the former and gives memory back
//! after the latter, which the system's allocator does not.

use std::process::ExitCode;

use clap::Parser;
use fallbackd::config::Env;
use fallbackd::daemon::{self, Arguments};
use fallbackd::demo;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let env = Env::of_process();
    if arguments.demo {
        let options = demo::Options { socket: arguments.socket, stay: arguments.stay };
        return demo::run(&options, &env);
    }
    daemon::run(arguments, env)
}
