//! Showing the same again and again, until a person has seen enough.
//!
//! On a terminal it uses the second screen that terminals have for such programs, so the first
//! one is back untouched when it ends, whichever signal ends it. Signals are therefore waited for
//! and not left to their defaults. Anywhere else, what is shown is appended.
//!
//! A daemon that goes away while it is watched is waited for: its restart is what one wants to see.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::failure::CommandError;
use super::screen::{Paper, Screen};

/// To the second screen of the terminal, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left corner; from there, everything away.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Calls `show` every `interval` until a signal ends it.
pub(super) fn again_and_again(
    interval: Duration,
    json: bool,
    screen: &mut Screen<'_>,
    mut show: impl FnMut(&mut Screen<'_>) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let signals = Signals::taken()?;
    let full = screen.paper.terminal && !json;
    if full {
        write!(screen.out, "{ENTER}")?;
    }
    let result = watch(interval, &signals, full, screen, &mut show);
    if full {
        write!(screen.out, "{LEAVE}")?;
        screen.out.flush()?;
    }
    result
}

fn watch(
    interval: Duration,
    signals: &Signals,
    full: bool,
    screen: &mut Screen<'_>,
    show: &mut impl FnMut(&mut Screen<'_>) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut seen = false;
    loop {
        let (page, looked) = page(screen.paper, screen.notes_paper, show);
        write!(screen.out, "{}{page}", if full { CLEAR } else { "" })?;
        match looked {
            Ok(()) => seen = true,
            // What was there once may come back.
            Err(failure) if full && seen => {
                write!(screen.out, "{failure}\nwaiting for it to come back\n")?;
            }
            Err(failure) => return Err(failure),
        }
        screen.out.flush()?;
        match signals.within(interval)? {
            None | Some(Signal::SIGWINCH) => {}
            Some(Signal::SIGTSTP) => pause(full, screen)?,
            Some(_) => return Ok(()),
        }
    }
}

/// What one look shows, whole, so that it replaces the last one without a flicker.
fn page(
    paper: Paper,
    notes_paper: Paper,
    show: &mut impl FnMut(&mut Screen<'_>) -> Result<(), CommandError>,
) -> (String, Result<(), CommandError>) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let looked = show(&mut Screen { out: &mut out, paper, notes: &mut notes, notes_paper });
    (String::from_utf8_lossy(&out).into_owned(), looked)
}

/// Ctrl-Z: the shell gets its screen back, and we ours when we are in the foreground again.
fn pause(full: bool, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let (leave, enter) = if full { (LEAVE, ENTER) } else { ("", "") };
    write!(screen.out, "{leave}")?;
    screen.out.flush()?;
    raise(Signal::SIGSTOP).map_err(std::io::Error::from)?;
    write!(screen.out, "{enter}")?;
    Ok(())
}

/// The signals that end, pause or resize us, waited for instead of obeyed at once.
struct Signals(SignalFd);

impl Signals {
    fn taken() -> Result<Signals, CommandError> {
        const OURS: [Signal; 6] = [
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGQUIT,
            Signal::SIGTSTP,
            Signal::SIGWINCH,
        ];
        let set: SigSet = OURS.into_iter().collect();
        set.thread_block().map_err(std::io::Error::from)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let descriptor = SignalFd::with_flags(&set, flags).map_err(std::io::Error::from)?;
        Ok(Signals(descriptor))
    }

    /// The signal that came within this time, if one did.
    fn within(&self, time: Duration) -> Result<Option<Signal>, CommandError> {
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        let mut descriptors = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
        let signal = self.0.read_signal().map_err(std::io::Error::from)?;
        let number = signal.and_then(|signal| i32::try_from(signal.ssi_signo).ok());
        Ok(number.and_then(|number| Signal::try_from(number).ok()))
    }
}
