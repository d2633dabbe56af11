//! Tool calls in pieces of every form, and what they are in the end.

use proptest::prelude::*;

use super::*;

fn gathered(pieces: Vec<Fragment<'_>>) -> Vec<(String, String)> {
    let mut calls = Vec::new();
    for piece in pieces {
        if let Some(call) = owner(&mut calls, &piece) {
            call.add(piece);
            continue;
        }
        let mut call = PartialCall::new(piece.key);
        call.add(piece);
        calls.push(call);
    }
    let all = calls.into_iter().map(PartialCall::into_tool_call);
    all.map(|call| (call.function.name, call.function.arguments)).collect()
}

fn piece<'a>(key: Option<u64>, id: &'a str, name: &'a str, arguments: &'a str) -> Fragment<'a> {
    Fragment { key, id, name, arguments, ..Fragment::default() }
}

fn calls(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, arguments)| (name.to_string(), arguments.to_string())).collect()
}

#[test]
fn ids_that_change_with_every_piece_are_one_call() {
    let pieces = vec![
        piece(Some(0), "a1", "f", ""),
        piece(Some(0), "b2", "", "{\"x\":"),
        piece(Some(0), "c3", "", "1}"),
    ];
    assert_eq!(gathered(pieces), calls(&[("f", "{\"x\":1}")]));
}

#[test]
fn calls_that_all_have_the_same_number_are_told_by_id_and_name() {
    let pieces = vec![
        piece(Some(0), "a", "f", "{\"x\":1}"),
        piece(Some(0), "b", "f", "{\"x\":"),
        piece(Some(0), "b", "", "2}"),
        piece(Some(0), "c", "g", ""),
    ];
    let all = [("f", "{\"x\":1}"), ("f", "{\"x\":2}"), ("g", "{}")];
    assert_eq!(gathered(pieces), calls(&all));
}

#[test]
fn calls_without_numbers_are_told_by_their_names() {
    let pieces = vec![
        piece(None, "a", "f", "{\"x\":"),
        piece(None, "", "", "1}"),
        piece(None, "b", "f", "{\"x\":"),
        piece(None, "", "", "2}"),
        piece(None, "", "f", "{\"x\":3}"),
        piece(None, "", "g", "{}"),
    ];
    let all = [("f", "{\"x\":1}"), ("f", "{\"x\":2}"), ("f", "{\"x\":3}"), ("g", "{}")];
    assert_eq!(gathered(pieces), calls(&all));
}

#[test]
fn a_name_that_every_piece_repeats_is_one_call() {
    let pieces = vec![
        piece(None, "a", "f", "{\"x\":"),
        piece(None, "a", "f", "\"}\","),
        piece(None, "a", "f", "\"y\":{}}"),
    ];
    assert_eq!(gathered(pieces), calls(&[("f", "{\"x\":\"}\",\"y\":{}}")]));
}

#[test]
fn arguments_that_begin_again_are_not_doubled() {
    for before in ["{}", "{\"x\":1}", " {\"x\": {\"y\": [1]}} "] {
        let pieces = vec![
            piece(Some(0), "a", "f", before),
            piece(Some(0), "", "", "{\"x\""),
            piece(Some(0), "", "", ":1}"),
        ];
        assert_eq!(gathered(pieces), calls(&[("f", "{\"x\":1}")]), "{before}");
    }
    let blank_behind = vec![piece(Some(0), "a", "f", "{}"), piece(Some(0), "", "", "\n")];
    assert_eq!(gathered(blank_behind), calls(&[("f", "{}\n")]));
}

#[test]
fn made_up_ids_differ() {
    let id = || PartialCall::default().into_tool_call().id;
    assert!(id().starts_with("call_") && id() != id());
}

proptest! {
    /// However their texts are split, and however the pieces of numbered calls are mixed, each
    /// call comes out with its own arguments.
    #[test]
    fn any_splitting_and_mixing_gives_the_calls_back(
        texts in prop::collection::vec("[a-z{}\\[\\]\"\\\\]{0,12}", 1..5),
        cuts in prop::collection::vec(0_usize..6, 64),
        order in prop::collection::vec(any::<prop::sample::Index>(), 64),
        numbered in any::<bool>(),
    ) {
        let arguments: Vec<String> =
            texts.iter().map(|text| serde_json::json!({ "x": text }).to_string()).collect();
        let ids: Vec<String> = (0..texts.len()).map(|at| format!("id{at}")).collect();
        let mut cuts = cuts.into_iter().cycle();
        let mut queues: Vec<std::collections::VecDeque<Fragment<'_>>> = Vec::new();
        for (at, whole) in arguments.iter().enumerate() {
            let key = numbered.then_some(at as u64);
            let mut queue = std::collections::VecDeque::from([piece(key, &ids[at], "f", "")]);
            let mut rest = whole.as_str();
            while !rest.is_empty() {
                let (head, tail) = rest.split_at((cuts.next().unwrap() + 1).min(rest.len()));
                queue.push_back(piece(key, "", "", head));
                rest = tail;
            }
            queues.push(queue);
        }
        let mut pieces = Vec::new();
        let mut order = order.into_iter().cycle();
        // Calls begin in their own order; without numbers they also end before the next begins.
        if numbered {
            pieces.extend(queues.iter_mut().filter_map(|queue| queue.pop_front()));
            while queues.iter().any(|queue| !queue.is_empty()) {
                let left: Vec<usize> =
                    (0..queues.len()).filter(|at| !queues[*at].is_empty()).collect();
                let at = *order.next().unwrap().get(&left);
                pieces.extend(queues[at].pop_front());
            }
        } else {
            pieces.extend(queues.into_iter().flatten());
        }
        let wanted: Vec<_> = arguments.iter().map(|text| ("f".to_owned(), text.clone())).collect();
        prop_assert_eq!(gathered(pieces), wanted);
    }
}

#[test]
fn calls_under_one_number_without_ids_stay_apart() {
    let piece = |name, arguments| Fragment { key: Some(0), name, arguments, ..Fragment::default() };
    let oslo = "{\"city\":\"Oslo\"}";
    let rome = "{\"city\":\"Rome\"}";
    let names = gathered(vec![piece("weather", oslo), piece("time", rome)]);
    assert_eq!(names.len(), 2);
    let cities = gathered(vec![piece("weather", oslo), piece("weather", rome)]);
    assert_eq!(cities.len(), 2);
    let repeated = gathered(vec![piece("weather", oslo), piece("weather", oslo)]);
    assert_eq!(repeated.len(), 1);
    let begun = gathered(vec![piece("weather", "{}"), piece("weather", rome)]);
    assert_eq!(begun, [("weather".to_owned(), rome.to_owned())]);
}

#[test]
fn an_object_that_was_written_as_a_text_is_an_object() {
    let twice = serde_json::json!("{\"x\":1}").to_string();
    assert_eq!(gathered(vec![piece(None, "a", "f", &twice)]), calls(&[("f", "{\"x\":1}")]));
    let whole = Fragment { name: "f", whole: Some(twice), ..Fragment::default() };
    assert_eq!(gathered(vec![whole]), calls(&[("f", "{\"x\":1}")]));
    let text = "\"only a text\"";
    assert_eq!(gathered(vec![piece(None, "a", "f", text)]), calls(&[("f", text)]));
}
