//! Keys and values come back as they were written, or not at all.

use super::*;

fn slot(start: u64, width: Width) -> RowKey {
    let model = ModelKey::new("gpt", "https://api.example/v1", "gpt-4o");
    RowKey::Bucket(Slot { model, start: Wall(start), width })
}

#[test]
fn keys_come_back_as_they_were_written() {
    let breaker = RowKey::Breaker(ModelKey::new("a", "b", "c"));
    let ledger = LedgerKey::new(Wall(900_000), &"t".into(), &"".into(), &"m".into());
    let ledger = RowKey::Ledger(ledger);
    let outage = RowKey::Outage(OutageKey { at: Wall(7), model: "m".into() });
    for key in [slot(10_000, Width::Fine), slot(300_000, Width::Coarse), breaker, ledger, outage] {
        assert_eq!(RowKey::decode(&key.encode()), Some(key));
    }
}

#[test]
fn positions_come_back_and_sort_by_file_then_offset() {
    let position = |file: &str, offset| Position { file: file.into(), offset };
    let sorted = [position("01A", 300), position("01B", 2), position("01B", 256)];
    assert!(sorted.is_sorted());
    for position in sorted {
        assert_eq!(Position::decode(&position.encode()), Some(position));
    }
    assert_eq!(Position::decode(b""), None);
}

#[test]
fn an_identity_is_the_same_in_every_version_of_this_program() {
    let key = ModelKey::new("any", "https://api.example/v1", "gpt-4o");
    assert_eq!(String::from(key.identity), "b5d2787c03453fe9");
}

#[test]
fn keys_of_one_model_sort_by_time() {
    let early = slot(255, Width::Fine).encode();
    assert!(early < slot(256, Width::Fine).encode());
}

#[test]
fn models_that_differ_in_one_part_have_different_keys() {
    let keys = [
        ModelKey::new("a", "b", "c"),
        ModelKey::new("x", "b", "c"),
        ModelKey::new("a", "x", "c"),
        ModelKey::new("a", "b", "x"),
        ModelKey::new("a", "bc", ""),
    ];
    assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
}

#[test]
fn foreign_keys_and_values_are_unreadable_not_fatal() {
    for key in [&b""[..], b"v", b"b/", b"b/x", b"x/abc", b"b/m\0x12345678", b"s/\xff"] {
        assert_eq!(RowKey::decode(key), None, "{key:?}");
    }
    let key = slot(0, Width::Fine);
    let good = RowValue::Bucket(Bucket { success: 3, ..Bucket::default() });
    let mut bytes = good.encode();
    assert_eq!(RowValue::decode(&key, &bytes), Some(good));
    bytes[0] = 9;
    assert_eq!(RowValue::decode(&key, &bytes), None, "a later version");
    assert_eq!(RowValue::decode(&key, b"\x01{\"success\":"), None);
    assert_eq!(RowValue::decode(&key, b""), None);
}
