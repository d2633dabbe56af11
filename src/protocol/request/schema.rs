//! The schemas of all requests, by operation.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::super::schema::named;
use super::super::span::CostsLine;
use super::{Bare, BreakerLine, CancelLine, ChatRequest, EventsLine, HealthLine, WhyLine};

/// What each operation reads, by the name of its schema.
pub fn requests(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
    fn of<T: JsonSchema>(op: &str, generator: &mut SchemaGenerator) -> Schema {
        named(T::json_schema(generator), op)
    }
    vec![
        // It may also leave its operation out.
        ("ChatRequest", ChatRequest::json_schema(generator)),
        ("PingRequest", of::<Bare>("ping", generator)),
        ("HealthRequest", of::<HealthLine>("health", generator)),
        ("ChainsRequest", of::<Bare>("chains", generator)),
        ("WhyRequest", of::<WhyLine>("why", generator)),
        ("CostsRequest", of::<CostsLine>("costs", generator)),
        ("BreakerRequest", of::<BreakerLine>("breaker", generator)),
        ("ReloadRequest", of::<Bare>("reload", generator)),
        ("EventsRequest", of::<EventsLine>("events", generator)),
        ("CancelRequest", of::<CancelLine>("cancel", generator)),
    ]
}
