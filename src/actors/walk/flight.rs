//! A call under way: its permit, its future, and what was heard of its answer.

use std::convert::Infallible;

use tokio::sync::mpsc;

use super::super::permit::Permit;
use super::voice::Voice;
use super::{ModelHandle, Walk};
use crate::domain::time::Mono;
use crate::provider::{CallFuture, Outcome, Piece};

/// Pieces of an answer that wait to be told; beyond them its provider is not read.
pub(super) const PIECES: usize = 16;

/// A call that was admitted and made, and is not settled yet.
pub(super) struct Flight<'a> {
    /// Its number in the request's trail.
    pub(super) number: usize,
    pub(super) bill: Bill<'a>,
    pub(super) call: CallFuture<'a>,
    pub(super) pieces: mpsc::Receiver<Piece>,
    /// What came of it while it raced with another.
    pub(super) raced: Option<First>,
}

/// A call's permit, and what its answer has come to: if the call is dropped, that is what it costs.
pub(super) struct Bill<'a> {
    pub(super) model: &'a ModelHandle,
    pub(super) permit: Permit,
    began: Mono,
    pub(super) heard: Heard,
}

/// The first that comes of a call.
pub(super) enum First {
    Content(Piece),
    End(Outcome),
}

/// What was heard of an answer before its end.
#[derive(Clone, Copy, Default)]
pub(super) struct Heard {
    /// Whether any content came.
    pub(super) any: bool,
    /// Bytes of its text.
    pub(super) bytes: usize,
}

impl<'a> Bill<'a> {
    /// The bill of a call that begins.
    pub(super) fn new(model: &'a ModelHandle, permit: Permit, began: Mono) -> Bill<'a> {
        Bill { model, permit, began, heard: Heard::default() }
    }

    fn hear(&mut self, piece: &Piece, walk: &Walk<'_>) {
        if !std::mem::replace(&mut self.heard.any, true) {
            self.permit.began_to_answer(walk.means.clock.mono().since(self.began));
        }
        if let Piece::Text(text) = piece {
            self.heard.bytes += text.len();
        }
        let usage = walk.consumed(self.heard.bytes);
        self.permit.owes(usage, walk.cost(self.model, &usage, true));
    }
}

impl Flight<'_> {
    /// Waits for the first content, or for an end without any. What it was is kept for
    /// [`Flight::carry`]; nothing is lost if this is dropped while it waits.
    pub(super) async fn first(&mut self, walk: &Walk<'_>) {
        if self.raced.is_some() {
            return;
        }
        let first = tokio::select! {
            biased;
            outcome = &mut self.call => First::End(outcome),
            Some(piece) = self.pieces.recv() => {
                self.bill.hear(&piece, walk);
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
    pub(super) async fn carry(&mut self, walk: &Walk<'_>, voice: &mut Voice) -> Outcome {
        voice.speaker(self.bill.model.name());
        let outcome = match self.raced.take() {
            Some(First::End(outcome)) => outcome,
            Some(First::Content(piece)) => self.follow(Some(piece), walk, voice).await,
            None => self.follow(None, walk, voice).await,
        };
        while let Ok(piece) = self.pieces.try_recv() {
            self.bill.hear(&piece, walk);
        }
        outcome
    }

    async fn follow(
        &mut self,
        heard: Option<Piece>,
        walk: &Walk<'_>,
        voice: &mut Voice,
    ) -> Outcome {
        let Flight { call, pieces, bill, .. } = self;
        let told = async {
            if let Some(Piece::Text(text)) = heard {
                voice.piece(&text).await;
            }
            while let Some(piece) = pieces.recv().await {
                bill.hear(&piece, walk);
                if let Piece::Text(text) = piece {
                    voice.piece(&text).await;
                }
            }
            // The rest is known from the call's end.
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            // First, or a caller who takes its time would keep a call from ending.
            outcome = call => outcome,
            never = told => match never {},
        }
    }
}
