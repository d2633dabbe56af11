//! A call under way: its permit, its future, and what was heard of its answer.

use std::convert::Infallible;

use tokio::sync::mpsc;

use super::super::permit::Permit;
use super::ModelHandle;
use super::voice::Voice;
use crate::clock::Clock;
use crate::domain::time::Mono;
use crate::provider::{CallFuture, Outcome, Piece};

/// Pieces of an answer that wait to be told; beyond them its provider is not read.
pub(super) const PIECES: usize = 16;

/// A call that was admitted and made, and is not settled yet.
pub(super) struct Flight<'a> {
    pub(super) model: &'a ModelHandle,
    /// Its number in the request's trail.
    pub(super) number: usize,
    pub(super) permit: Permit,
    pub(super) call: CallFuture<'a>,
    pub(super) pieces: mpsc::Receiver<Piece>,
    pub(super) heard: Heard,
    /// What came of it while it raced with another.
    pub(super) raced: Option<First>,
}

/// The first that comes of a call.
pub(super) enum First {
    Content(Piece),
    End(Outcome),
}

/// What was heard of an answer before its end.
#[derive(Default)]
pub(super) struct Heard {
    /// When its first content came.
    pub(super) first: Option<Mono>,
    /// Bytes of its text.
    pub(super) bytes: usize,
}

impl Heard {
    fn note(&mut self, piece: &Piece, clock: &Clock) {
        self.first.get_or_insert_with(|| clock.mono());
        if let Piece::Text(text) = piece {
            self.bytes += text.len();
        }
    }
}

impl Flight<'_> {
    /// Waits for the first content, or for an end without any. What it was is kept for
    /// [`Flight::carry`]; nothing is lost if this is dropped while it waits.
    pub(super) async fn first(&mut self, clock: &Clock) {
        if self.raced.is_some() {
            return;
        }
        let first = tokio::select! {
            biased;
            outcome = &mut self.call => First::End(outcome),
            Some(piece) = self.pieces.recv() => {
                self.heard.note(&piece, clock);
                First::Content(piece)
            }
        };
        self.raced = Some(first);
    }

    /// Whether it has ended without an answer.
    pub(super) fn failed(&self) -> bool {
        matches!(self.raced, Some(First::End(Err(_))))
    }

    /// Follows the call to its end, and tells the caller what comes of its answer.
    pub(super) async fn carry(&mut self, voice: &mut Voice, clock: &Clock) -> Outcome {
        voice.speaker(self.model.name());
        let began = match self.raced.take() {
            Some(First::End(outcome)) => return outcome,
            Some(First::Content(Piece::Text(text))) => Some(text),
            Some(First::Content(Piece::Life)) | None => None,
        };
        let Flight { call, pieces, heard, .. } = self;
        let told = async {
            if let Some(text) = began {
                voice.piece(&text).await;
            }
            while let Some(piece) = pieces.recv().await {
                heard.note(&piece, clock);
                if let Piece::Text(text) = piece {
                    voice.piece(&text).await;
                }
            }
            // The rest is known from the call's end.
            std::future::pending::<Infallible>().await
        };
        let outcome = tokio::select! {
            biased;
            // First, or a caller who takes its time would keep a call from ending.
            outcome = call => outcome,
            never = told => match never {},
        };
        while let Ok(piece) = pieces.try_recv() {
            heard.note(&piece, clock);
        }
        outcome
    }
}
