//! Tells whether a request went out on a new connection or on one from the pool.
//!
//! A pooled connection may have been closed by the server at the very moment it was used again;
//! that is no outage and must not count as one. The HTTP client does not say which kind it
//! used, but it opens a connection within the task of the request that is going to use it. So a
//! layer around its connector leaves a mark in that task.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    static CONNECTED: Cell<bool>;
}

/// Runs a request; true when it opened the connection it used.
pub(super) async fn watch<F: Future>(request: F) -> (F::Output, bool) {
    let watched = async move {
        let output = request.await;
        (output, CONNECTED.with(Cell::get))
    };
    CONNECTED.scope(Cell::new(false), watched).await
}

/// Puts [`Marking`] around a connector.
#[derive(Clone)]
pub(super) struct MarkNew;

/// A connector that marks the task in which it connected.
#[derive(Clone)]
pub(super) struct Marking<S>(S);

impl<S> Layer<S> for MarkNew {
    type Service = Marking<S>;

    fn layer(&self, connector: S) -> Marking<S> {
        Marking(connector)
    }
}

impl<S, Address> Service<Address> for Marking<S>
where
    S: Service<Address>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, address: Address) -> Self::Future {
        let connecting = self.0.call(address);
        Box::pin(async move {
            let connection = connecting.await?;
            // Outside of any request when another connection became free first: nothing to mark.
            let _ = CONNECTED.try_with(|mark| mark.set(true));
            Ok(connection)
        })
    }
}
