//! OpenAI's Responses: what Codex, the Agents SDK and newer programs speak.
//!
//! Nothing is kept between requests: each brings its whole conversation, as items, and gets an
//! object of items back. What a provider wants to see again travels inside of the answer, in a
//! field that programs hand back unread.

mod answer;
mod echo;
mod input;
mod parts;
mod request;
mod sealed;
mod stream;
#[cfg(test)]
mod tests;
mod tools;

pub(super) use answer::whole;
pub(crate) use echo::Echo;
pub(super) use request::read;
pub(super) use stream::ResponseWriter;

/// Adds a name to a list that has each name once.
fn note(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}
