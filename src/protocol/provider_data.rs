//! What a provider wants back of an answer: opaque to callers, who append it to the conversation as
//! they got it.
//!
//! Signatures and encrypted thoughts are good for the model that made them and for nobody else, so
//! each names its maker and is handed out to no other. It has no `Debug`: it may hold thoughts,
//! which must not reach a log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An object with its maker's kind and name in it. Any other object is nobody's.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ProviderData(Map<String, Value>);

impl ProviderData {
    /// What the model of this id, at a provider of this kind, wants back.
    pub(crate) fn new(kind: &str, model_id: &str, kept: Map<String, Value>) -> ProviderData {
        let maker = [("kind", kind), ("model", model_id)];
        let maker = maker.map(|(name, value)| (name.to_owned(), Value::from(value)));
        ProviderData(maker.into_iter().chain(kept).collect())
    }

    /// What is in it for this model; `None` if another one made it.
    pub(crate) fn of(&self, kind: &str, model_id: &str) -> Option<&Map<String, Value>> {
        (self.says("kind", kind) && self.says("model", model_id)).then_some(&self.0)
    }

    fn says(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_some_and(|told| told == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_its_maker_alone() {
        let kept = serde_json::json!({"signature": "s"});
        let data = ProviderData::new("google", "g-3", kept.as_object().unwrap().clone());
        assert_eq!(data.of("google", "g-3").unwrap()["signature"], "s");
        assert!(data.of("google", "g-2").is_none() && data.of("openai", "g-3").is_none());
        let foreign: ProviderData = serde_json::from_str(r#"{"kind":7}"#).unwrap();
        assert!(foreign.of("google", "g-3").is_none());
    }
}
