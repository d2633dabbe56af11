//! One attempt, from its first key to its last step.
//!
//! Keys are tried one after the other as long as nothing of an answer was told: a provider may say
//! within a stream that has begun that a key has no money. Whose turn it is, and when the failure
//! is the model's, is said in [`super::super::keys`].

use std::rc::Rc;

use super::{CallableModel, Http};
use crate::provider::keys::{KeyTurn, Pass};
use crate::provider::learned::Lessons;
use crate::provider::patience::Pace;
use crate::provider::receive::Reading;
use crate::provider::{Call, Failure, Step};

/// A call between two of its steps.
pub(super) enum Calling<'a> {
    /// Nothing was sent yet.
    Begun(&'a Http, Call<'a>),
    /// Its answer has begun.
    Reading(Box<Trial<'a>>, Reading),
    /// Its end was told.
    Over,
}

/// What an attempt needs to ask once more.
pub(super) struct Trial<'a> {
    http: &'a Http,
    call: Call<'a>,
    entry: Rc<CallableModel>,
    /// Most bytes of an answer.
    limit: usize,
    pace: Pace,
    turn: KeyTurn,
    pass: Pass,
    lessons: Lessons,
    /// Whether anything of the answer was told.
    told: bool,
}

impl<'a> Calling<'a> {
    pub(super) async fn step(self) -> Option<(Step, Self)> {
        let begun = match self {
            Calling::Begun(http, call) => Trial::begin(http, call).await,
            Calling::Reading(attempt, reading) => attempt.read_on(reading).await,
            Calling::Over => return None,
        };
        let Stepped { step, next } = begun.unwrap_or_else(|failure| Stepped {
            step: Step::End(Err(failure)),
            next: Calling::Over,
        });
        // Nobody above may hear all that a provider said.
        let step = match step {
            Step::End(Err(failure)) => Step::End(Err(Failure { told: None, ..failure })),
            step => step,
        };
        Some((step, next))
    }
}

/// A step, and what the call is after it.
struct Stepped<'a> {
    step: Step,
    next: Calling<'a>,
}

impl<'a> Trial<'a> {
    async fn begin(http: &'a Http, call: Call<'a>) -> Result<Stepped<'a>, Failure> {
        let (entry, limit) = http.entry(call.model)?;
        // A model that cannot be called needs no key.
        entry.prepared()?;
        let pace = Pace::start(call.limits);
        let mut turn = entry.ring.turn(&call);
        let pass = turn.first(pace.first()).await?;
        let lessons = http.lessons(&call, &entry);
        let mut attempt =
            Trial { http, call, entry, limit, pace, turn, pass, lessons, told: false };
        let reading = attempt.ask().await?;
        Box::new(attempt).read_on(reading).await
    }

    /// Asks with one key after the other, until an answer begins.
    async fn ask(&mut self) -> Result<Reading, Failure> {
        loop {
            let (pass, entry) = (&self.pass, &self.entry);
            let (call, lessons) = (&self.call, &mut self.lessons);
            let asked = self.http.ask_with(pass, entry, call, self.pace, self.limit, lessons);
            match asked.await {
                Ok(reading) => return Ok(reading),
                Err(failure) => self.change_key(failure).await?,
            }
        }
    }

    /// The next step. An answer that begins with a failure of the key's is none.
    async fn read_on(mut self: Box<Self>, reading: Reading) -> Result<Stepped<'a>, Failure> {
        let mut reading = reading;
        loop {
            let (step, more) = reading.step().await;
            let failure = match step {
                Step::End(Err(failure)) if !self.told => self.http.timed(failure),
                step => {
                    self.tell();
                    let next = match more {
                        Some(reading) => Calling::Reading(self, reading),
                        None => Calling::Over,
                    };
                    return Ok(Stepped { step, next });
                }
            };
            // A server may refuse within a 200 what we added to the request.
            if !self.lessons.learn(&self.call, &failure) {
                self.change_key(failure).await?;
            }
            reading = self.ask().await?;
        }
    }

    /// From the first step on it is known that the key works, and that what was learnt was right.
    fn tell(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.turn.worked(&self.pass);
            let now = (self.http.clock)().mono;
            self.lessons.keep(&self.entry.learned, &self.call, now);
        }
    }

    async fn change_key(&mut self, failure: Failure) -> Result<(), Failure> {
        self.pass = self.turn.next(&self.pass, failure, self.pace.first()).await?;
        Ok(())
    }
}
