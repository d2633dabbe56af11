//! Hands the events of a stream to its wire format, whatever odd form they come in.
//!
//! A format reads one proper event. What stands around that differs from server to server: JSON
//! texts glued to each other or to the end mark, whole answers in place of pieces and pieces in place
//! of a whole answer, characters cut in two, signs of life that are no events, texts where an error
//! belongs. All of it is put right here, once for all formats. An event is offered as it came first,
//! so that a proper one costs nothing extra.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value;

use super::errors::redact::Secrets;
use super::formats::{Format, ReadEvents};
use super::framing::glued::{self, GluedPart};
use super::framing::{RawEvent, mend};
use super::pieces::Gathered;
use super::{CallResult, Failure, usage};
use crate::domain::fault::Fault;

/// Data that some servers send to keep a connection alive.
const NOTHING: [&[u8]; 8] =
    [b"", b"null", b"\"\"", b"ping", b"[PING]", b"keepalive", b"keep-alive", b"heartbeat"];

/// Names of events that are nothing but signs of life.
const IDLE: [&[u8]; 4] = [b"ping", b"keepalive", b"keep-alive", b"heartbeat"];

/// Reads the events of one stream.
pub(super) struct Lenient {
    events: Box<dyn ReadEvents>,
    /// An event that ends in the middle of a character.
    held: Option<HeldEvent>,
    /// Why something was not a whole answer, in case it was no piece of one either.
    doubt: Option<Failure>,
    /// The usage so far was found where the format has none.
    found_usage: bool,
}

struct HeldEvent {
    name: Vec<u8>,
    data: Vec<u8>,
    bare: bool,
    failed: bool,
}

impl Lenient {
    pub(super) fn new(format: &dyn Format) -> Lenient {
        Lenient { events: format.events(), held: None, doubt: None, found_usage: false }
    }

    /// Puts what an event says into what was gathered so far.
    ///
    /// # Errors
    /// When it tells of a failure, or cannot be read and the answer is not finished.
    pub(super) fn take(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
        let Some(mut held) = self.held.take() else { return self.hold_or_take(event, into) };
        let mut data = event.data.to_vec();
        mend::join(&mut held.data, &mut data);
        self.take_held(&held, into)?;
        match into.over {
            true => Ok(()),
            false => self.hold_or_take(RawEvent { data: &data, ..event }, into),
        }
    }

    /// Takes what still waits for a next event. There is none.
    pub(super) fn end(&mut self, into: &mut Gathered) -> Result<(), Failure> {
        match self.held.take() {
            Some(held) => self.take_held(&held, into),
            None => Ok(()),
        }
    }

    /// Why nothing came of a stream that brought neither content nor a finish, if that is known.
    pub(super) fn objection(&mut self, gathered: &Gathered) -> Option<Failure> {
        let nothing = gathered.is_empty() && gathered.finish.is_none();
        self.doubt.take().filter(|_| nothing)
    }

    fn take_held(&mut self, held: &HeldEvent, into: &mut Gathered) -> Result<(), Failure> {
        let HeldEvent { name, data, bare, failed } = held;
        let event = RawEvent { name, data, bare: *bare, failed: *failed };
        self.take_mended(event, into)
    }

    fn hold_or_take(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
        if !mend::ends_in_half(event.data) {
            return self.take_mended(event, into);
        }
        let (name, data) = (event.name.to_vec(), event.data.to_vec());
        self.held = Some(HeldEvent { name, data, bare: event.bare, failed: event.failed });
        Ok(())
    }

    fn take_mended(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
        let data: Cow<'_, [u8]> = mend::text(event.data);
        let event = RawEvent { data: data.trim_ascii(), ..event };
        match event.data {
            b"[DONE]" => {
                into.over = true;
                Ok(())
            }
            data if is_nothing(&event, data) => Ok(()),
            _ => self.take_one(event, into),
        }
    }

    fn take_one(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
        match self.events.take(event, into) {
            Err(failure) if failure.fault == Fault::BadBody && !into.full => {
                self.take_odd(event, failure, into)
            }
            Err(failure) => Err(failure),
            Ok(()) => {
                self.look_for_usage(event.data, into);
                Ok(())
            }
        }
    }

    /// Takes an event that the format cannot read as it is.
    fn take_odd(
        &mut self,
        event: RawEvent<'_>,
        failure: Failure,
        into: &mut Gathered,
    ) -> Result<(), Failure> {
        if let Some(mended) = mend::words(event.data) {
            return self.take_one(RawEvent { data: &mended, ..event }, into);
        }
        let parts = glued::split(event.data);
        let is_new = event.bare || parts.all[..] != [GluedPart::Json(event.data)];
        if parts.all.is_empty() || !is_new {
            return match into.finish {
                // What comes after a complete answer takes nothing from it.
                Some(_) => Ok(()),
                None if event.name == b"error" => Err(into.failed(&text(event.data))),
                None => Err(failure),
            };
        }
        for part in &parts.all {
            match part {
                GluedPart::Done => {
                    into.over = true;
                    return Ok(());
                }
                GluedPart::Json(data) => {
                    self.take_part(RawEvent { data, bare: false, ..event }, into)?
                }
            }
        }
        if !parts.rest.is_empty() && into.finish.is_none() {
            return Err(failure);
        }
        self.doubt.get_or_insert(failure);
        Ok(())
    }

    fn take_part(&mut self, event: RawEvent<'_>, into: &mut Gathered) -> Result<(), Failure> {
        let is_finished = into.finish.is_some();
        match self.events.take(event, into) {
            Err(failure) if failure.fault == Fault::BadBody && is_finished && !into.full => Ok(()),
            Err(failure) => Err(failure),
            Ok(()) => {
                self.look_for_usage(event.data, into);
                Ok(())
            }
        }
    }

    fn look_for_usage(&mut self, data: &[u8], into: &mut Gathered) {
        if (into.usage.is_none() || self.found_usage)
            && let Some(usage) = usage::elsewhere(data)
        {
            into.usage = Some(usage);
            self.found_usage = true;
        }
    }
}

fn is_nothing(event: &RawEvent<'_>, data: &[u8]) -> bool {
    let is_idle = IDLE.contains(&event.name) && !matches!(data.first(), Some(b'{' | b'['));
    let is_named_error = event.name == b"error";
    let is_idle = is_idle || NOTHING.iter().any(|nothing| data.eq_ignore_ascii_case(nothing));
    !event.failed && is_idle && (!is_named_error || data.is_empty())
}

fn text(data: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(data).into_owned())
}

/// The answer in a whole 2xx body, which may hold an error all the same, or all pieces of a stream.
pub(super) fn whole(format: &dyn Format, body: &[u8], secrets: &Rc<Secrets>) -> CallResult {
    let body = mend::text(body);
    // What came in one piece was bounded when it was read.
    let mut gathered = Gathered::new(usize::MAX, secrets);
    match format.answer(&body, &mut gathered) {
        Ok(()) => {
            gathered.usage = gathered.usage.or_else(|| usage::elsewhere(&body));
            gathered.outcome()
        }
        Err(failure) if failure.fault == Fault::BadBody => match mend::words(&body) {
            Some(mended) => whole(format, &mended, secrets),
            None => from_pieces(format, &body, secrets).unwrap_or(Err(failure)),
        },
        Err(failure) => Err(failure),
    }
}

/// What the body says if it is a list of pieces, or one; `None` if that brings nothing.
fn from_pieces(format: &dyn Format, body: &[u8], secrets: &Rc<Secrets>) -> Option<CallResult> {
    let mut gathered = Gathered::new(usize::MAX, secrets);
    let mut lenient = Lenient::new(format);
    let parts = glued::split(body);
    for part in &parts.all {
        let GluedPart::Json(data) = part else { break };
        match lenient.take(RawEvent { name: b"", data, bare: false, failed: false }, &mut gathered)
        {
            Err(failure) if failure.fault == Fault::BadBody => return None,
            Err(failure) => return Some(Err(failure)),
            Ok(()) => {}
        }
    }
    lenient.end(&mut gathered).ok()?;
    let has_come = gathered.finish.is_some() || !gathered.is_empty();
    let is_whole = parts.rest.is_empty() || gathered.finish.is_some();
    (has_come && is_whole).then(|| gathered.outcome())
}

#[cfg(test)]
mod tests;
