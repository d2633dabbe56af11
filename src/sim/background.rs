//! A simulator in a thread of its own, for tests of a daemon that lives elsewhere.
//!
//! A test without a runtime, or one whose runtime has its time under control, still needs a
//! provider that really answers. The thread ends when this handle is dropped.

use std::future::Future;
use std::io;
use std::ops::Deref;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::Simulator;
use crate::config::Kind;

/// A running simulator; everything [`Simulator`] offers can be called on it.
#[derive(Debug)]
pub struct Background {
    simulator: Simulator,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts a provider on a free port of loopback.
    pub fn start(kind: Kind) -> io::Result<Self> {
        Self::start_at(kind, 0)
    }

    /// Starts a provider on this port of loopback.
    pub fn start_at(kind: Kind, port: u16) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let simulator = {
            let _inside = handle.enter();
            Simulator::start_at(kind, port)?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread =
            std::thread::Builder::new().name(format!("sim-{}", kind.name())).spawn(move || {
                // An error only means that the handle is gone, which is the end as well.
                let _ = runtime.block_on(stopped);
            })?;
        Ok(Self { simulator, runtime: handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Waits for one of the simulator's waits from a thread without a runtime.
    pub fn block_on<T>(&self, wait: impl Future<Output = T>) -> T {
        self.runtime.block_on(wait)
    }
}

impl Deref for Background {
    type Target = Simulator;

    fn deref(&self) -> &Simulator {
        &self.simulator
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
