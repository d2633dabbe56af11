//! The tools of a request: functions stay, also those of a namespace; what a provider would run
//! itself, or writes in a form of its own, is left out.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::note;
use crate::dialects::body::{read_at, refused};
use crate::protocol::chat::{Function, FunctionKind, Tool, ToolChoice};
use crate::protocol::reply::ErrorBody;

/// The functions on offer, and the kinds that are left out beside them.
#[derive(Default)]
pub(super) struct Toolbox {
    pub(super) functions: Vec<Tool>,
    pub(super) homes: Vec<FunctionHome>,
    pub(super) dropped: Vec<String>,
}

/// Where a function stands that is offered by itself.
pub(super) struct FunctionHome {
    /// The name that models see.
    pub(super) offered: String,
    pub(super) namespace: String,
    /// The name that it has there.
    pub(super) name: String,
    /// Its place among all functions that were listed.
    at: usize,
}

#[derive(Deserialize)]
struct ToolTag {
    #[serde(rename = "type", default)]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct FlatFunction {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Box<RawValue>>,
    #[serde(default)]
    strict: Option<bool>,
}

#[derive(Deserialize)]
struct ToolSpace<'a> {
    name: String,
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
}

/// What `tool_choice` says, if it is not a word.
#[derive(Deserialize)]
struct ToolChoiceWish<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    mode: Option<String>,
    #[serde(borrow, default)]
    tools: Vec<&'a RawValue>,
}

impl Toolbox {
    /// Reads the tools of a request.
    pub(super) fn read(tools: &[&RawValue]) -> Result<Toolbox, ErrorBody> {
        let mut toolbox = Toolbox::default();
        for (at, tool) in tools.iter().enumerate() {
            toolbox.add(&format!("tools[{at}]"), tool)?;
        }
        toolbox.tell_apart();
        Ok(toolbox)
    }

    fn add(&mut self, place: &str, tool: &RawValue) -> Result<(), ErrorBody> {
        let kind = read_at::<ToolTag>(place, tool)?.kind;
        match kind.as_deref() {
            None | Some("function") => self.offer(read_at(place, tool)?),
            Some("namespace") => {
                let space: ToolSpace<'_> = read_at(place, tool)?;
                for (at, tool) in space.tools.iter().enumerate() {
                    self.add_within(&format!("{place}.tools[{at}]"), &space.name, tool)?;
                }
            }
            Some(kind) => note(&mut self.dropped, format!("tools.{kind}")),
        }
        Ok(())
    }

    /// Takes a function out of its namespace, which no other dialect knows.
    fn add_within(
        &mut self,
        place: &str,
        namespace: &str,
        tool: &RawValue,
    ) -> Result<(), ErrorBody> {
        let kind = read_at::<ToolTag>(place, tool)?.kind;
        if let Some(kind) = kind.filter(|kind| kind != "function") {
            note(&mut self.dropped, format!("tools.{kind}"));
            return Ok(());
        }
        let function: FlatFunction = read_at(place, tool)?;
        self.homes.push(FunctionHome {
            offered: function.name.clone(),
            namespace: namespace.to_owned(),
            name: function.name.clone(),
            at: self.functions.len(),
        });
        self.offer(function);
        Ok(())
    }

    fn offer(&mut self, function: FlatFunction) {
        let FlatFunction { name, description, parameters, strict } = function;
        let function = Function { name, description, parameters, strict };
        self.functions.push(Tool { kind: FunctionKind::Function, function, cache_control: None });
    }

    /// Gives functions of a namespace its name too where another function has theirs.
    fn tell_apart(&mut self) {
        let mut names: Vec<String> =
            self.functions.iter().map(|tool| tool.function.name.clone()).collect();
        names.sort_unstable();
        for home in &mut self.homes {
            let before = names.partition_point(|one| *one < home.name);
            let same = names[before..].iter().take_while(|one| **one == home.name).count();
            let Some(tool) = self.functions.get_mut(home.at).filter(|_| same > 1) else { continue };
            home.offered = qualified(&home.namespace, &home.name);
            tool.function.name.clone_from(&home.offered);
        }
    }

    /// The name that models see of a function.
    pub(super) fn offered(&self, namespace: Option<&str>, name: String) -> String {
        let home = namespace.and_then(|namespace| {
            self.homes.iter().find(|home| home.namespace == namespace && home.name == name)
        });
        home.map_or(name, |home| home.offered.clone())
    }

    /// What `tool_choice` means for the functions on offer; those that may not be called are
    /// taken away.
    pub(super) fn choose(&mut self, wish: &RawValue) -> Result<Option<ToolChoice>, ErrorBody> {
        let choice = match wish.get().starts_with('"') {
            true => read_at("tool_choice", wish)?,
            false => self.choose_tool(read_at("tool_choice", wish)?)?,
        };
        let needs_one = matches!(choice, ToolChoice::Required | ToolChoice::Named(_));
        if needs_one && self.functions.is_empty() {
            return Err(refused("tool_choice", "no function is on offer that could be called"));
        }
        Ok(Some(choice))
    }

    fn choose_tool(&mut self, wish: ToolChoiceWish<'_>) -> Result<ToolChoice, ErrorBody> {
        let ToolChoiceWish { kind, name, namespace, mode, tools } = wish;
        match (kind.as_str(), name) {
            ("function", Some(name)) => {
                Ok(ToolChoice::Named(self.offered(namespace.as_deref(), name)))
            }
            ("function", None) => Err(refused("tool_choice.name", "expected a function's name")),
            ("allowed_tools", _) => {
                self.keep(&tools)?;
                Ok(match mode.as_deref() {
                    Some("required") => ToolChoice::Required,
                    _ => ToolChoice::Auto,
                })
            }
            (kind, _) => {
                let why = format!(
                    "a tool of the type {kind:.40} is run by one provider alone and has no backup; \
                     choose a function, `auto` or `none`"
                );
                Err(refused("tool_choice", &why))
            }
        }
    }

    /// Keeps the functions that are in this list.
    fn keep(&mut self, allowed: &[&RawValue]) -> Result<(), ErrorBody> {
        let mut names = Vec::with_capacity(allowed.len());
        for (at, tool) in allowed.iter().enumerate() {
            let tool: ToolChoiceWish<'_> = read_at(&format!("tool_choice.tools[{at}]"), tool)?;
            if let Some(name) = tool.name.filter(|_| tool.kind == "function") {
                names.push(self.offered(tool.namespace.as_deref(), name));
            }
        }
        self.functions.retain(|tool| names.contains(&tool.function.name));
        Ok(())
    }
}

fn qualified(namespace: &str, name: &str) -> String {
    format!("{}__{name}", namespace.trim_end_matches('_'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn toolbox(tools: &Value) -> Result<Toolbox, ErrorBody> {
        let text = tools.to_string();
        let tools: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
        Toolbox::read(&tools)
    }

    fn names(toolbox: &Toolbox) -> Vec<&str> {
        toolbox.functions.iter().map(|tool| tool.function.name.as_str()).collect()
    }

    fn function(name: &str) -> Value {
        json!({"type": "function", "name": name, "parameters": {"type": "object"}, "strict": true})
    }

    fn choose(toolbox: &mut Toolbox, wish: &Value) -> Result<Option<ToolChoice>, String> {
        let text = wish.to_string();
        toolbox.choose(serde_json::from_str(&text).unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn functions_stay_and_come_out_of_their_namespace_and_all_else_is_named_once() {
        let toolbox = toolbox(&json!([
            function("a"), {"type": "web_search", "external_web_access": false},
            {"type": "namespace", "name": "space", "description": "d",
             "tools": [function("b"), {"type": "custom", "name": "x"}]},
            {"type": "custom", "name": "y"},
        ]))
        .unwrap();
        assert_eq!(names(&toolbox), ["a", "b"]);
        assert_eq!(toolbox.dropped, ["tools.web_search", "tools.custom"]);
        assert_eq!(toolbox.functions[1].function.strict, Some(true));
        assert_eq!(toolbox.offered(Some("space"), "b".to_owned()), "b");
    }

    #[test]
    fn functions_of_one_name_are_told_apart_by_their_namespace() {
        let toolbox = toolbox(&json!([
            {"type": "namespace", "name": "mcp__x__", "tools": [function("find"), function("one")]},
            function("find"),
            {"type": "namespace", "name": "y", "tools": [function("find")]},
        ]))
        .unwrap();
        assert_eq!(names(&toolbox), ["mcp__x__find", "one", "find", "y__find"]);
        assert_eq!(toolbox.offered(Some("y"), "find".to_owned()), "y__find");
        assert_eq!(toolbox.offered(None, "find".to_owned()), "find");
        let offered = toolbox.homes.iter().map(|home| home.offered.as_str());
        assert!(offered.eq(["mcp__x__find", "one", "y__find"]));
    }

    #[test]
    fn a_choice_is_a_word_a_function_or_some_of_them() {
        let offer = json!([function("a"), function("b"), {"type": "file_search"}]);
        let fresh = || toolbox(&offer).unwrap();
        for (wish, meant) in [
            (json!("auto"), ToolChoice::Auto),
            (json!("none"), ToolChoice::Never),
            (json!("required"), ToolChoice::Required),
            (json!({"type": "function", "name": "b"}), ToolChoice::Named("b".to_owned())),
        ] {
            assert_eq!(choose(&mut fresh(), &wish), Ok(Some(meant)));
        }
        let mut some = fresh();
        let wish = json!({"type": "allowed_tools", "mode": "required",
            "tools": [{"type": "function", "name": "b"}, {"type": "file_search"}]});
        assert_eq!(choose(&mut some, &wish), Ok(Some(ToolChoice::Required)));
        assert_eq!(names(&some), ["b"]);
    }

    #[test]
    fn a_choice_that_nobody_could_back_up_is_refused() {
        let mut some = toolbox(&json!([function("a"), {"type": "file_search"}])).unwrap();
        let told = choose(&mut some, &json!({"type": "file_search"})).unwrap_err();
        assert!(told.starts_with("`tool_choice`: ") && told.contains("file_search"), "{told}");
        let hosted = json!({"type": "allowed_tools", "mode": "required",
            "tools": [{"type": "file_search"}]});
        for wish in [hosted, json!("sometimes"), json!({"type": "function"}), json!(7)] {
            assert!(choose(&mut some, &wish).is_err(), "{wish}");
        }
        let mut none = toolbox(&json!([])).unwrap();
        assert!(choose(&mut none, &json!("required")).is_err());
        assert_eq!(choose(&mut none, &json!("auto")), Ok(Some(ToolChoice::Auto)));
    }
}
