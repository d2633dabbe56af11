//! What callers and logs may see of hostile text.

use proptest::prelude::*;
use secrecy::SecretString;

use super::*;

fn knowing(key: &str) -> Secrets {
    Secrets::new(&[SecretString::from(key.to_owned())])
}

#[test]
fn the_providers_own_key_is_masked_whatever_its_shape() {
    let cleaned = knowing("plain words").clean("the key plain words is wrong");
    assert_eq!(cleaned, "the key [hidden] is wrong");
}

#[test]
fn key_shaped_words_are_masked_without_knowing_them() {
    let none = Secrets::default();
    for key in [
        "sk-proj-abcd1234",
        "sk-ant-api03-xyz",
        "AIzaSyA1234567",
        "xai-12345678",
        "gsk_abcdefgh",
        "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA",
        "0123456789abcdef0123456789abcdef",
        "AbCd-EfGh-1234_IjKl-MnOp-5678_QrSt-UvWx",
    ] {
        let cleaned = none.clean(&format!("Incorrect key ({key}), see the page."));
        assert_eq!(cleaned, "Incorrect key ([hidden]), see the page.");
    }
}

#[test]
fn values_after_telling_words_are_masked() {
    let none = Secrets::default();
    assert_eq!(none.clean("Authorization: Bearer abc.def"), "Authorization: Bearer [hidden]");
    assert_eq!(none.clean("bad token Bearer tiny"), "bad token Bearer [hidden]");
    assert_eq!(none.clean("GET /v1/m?key=tiny&alt=sse"), "GET /v1/m?key=[hidden]&alt=sse");
    assert_eq!(none.clean(r#"{"x-api-key":"tiny"}"#), r#"{"x-api-key":"[hidden]"}"#);
}

#[test]
fn names_of_models_pages_and_ordinary_words_stay_readable() {
    let none = Secrets::default();
    let text = "The model `claude-3-5-sonnet-20241022` is retired, see \
                https://platform.example.com/docs/guides/error-codes/api-errors. Try gpt-4o-mini.";
    assert_eq!(none.clean(text), text);
}

#[test]
fn the_key_alone_is_masked_when_the_secret_is_a_whole_header_value() {
    let cleaned = knowing("Bearer plainwords").clean("got plainwords, expected another");
    assert_eq!(cleaned, "got [hidden], expected another");
}

#[test]
fn a_key_split_by_control_characters_is_found() {
    let cleaned = knowing("secretkey").clean("it was secr\u{0}et\u{200b}key indeed");
    assert_eq!(cleaned, "it was [hidden] indeed");
}

#[test]
fn text_becomes_one_line_of_at_most_300_characters() {
    let cleaned = Secrets::default().clean(&"wörd \u{1b}[31m\n".repeat(1000));
    assert_eq!(cleaned.chars().count(), MAX_CHARS);
    assert!(cleaned.ends_with('…') && !cleaned.chars().any(char::is_control));
}

#[test]
fn codes_for_logs_have_a_strict_form() {
    let none = Secrets::default();
    assert_eq!(none.code("RESOURCE_EXHAUSTED").as_deref(), Some("resource_exhausted"));
    assert_eq!(none.code("context_length_exceeded").as_deref(), Some("context_length_exceeded"));
    for bad in ["", "two words", "naïve", "sk-abcdefgh", &"x".repeat(65)] {
        assert_eq!(none.code(bad), None, "{bad}");
    }
    assert_eq!(knowing("my-own-key").code("my-own-key"), None);
    assert_eq!(knowing("MY-OWN-KEY").code("my-own-key-1").as_deref(), Some("my-own-key-1"));
}

proptest! {
    #[test]
    fn a_planted_key_never_shows_at_any_position_or_cut(
        key in "[A-Z]{3}[A-Za-z0-9+/_-]{20,60}",
        before in "[ .,:é\"\u{1}]{0,400}",
        after in "[ .,:é\"\u{1}]{0,40}",
        padding in 0usize..17_000,
    ) {
        let secrets = knowing(&key);
        let text = format!("{}{before}{key}{after}{key}", " .".repeat(padding / 2));
        let cleaned = secrets.clean(&text);
        prop_assert!(cleaned.chars().count() <= MAX_CHARS);
        for window in key.as_bytes().windows(6) {
            let part = std::str::from_utf8(window).unwrap();
            prop_assert!(!cleaned.contains(part), "{cleaned}");
        }
        prop_assert_eq!(secrets.code(&key), None);
    }

    #[test]
    fn any_text_is_cleaned_without_panic(text in any::<String>()) {
        let cleaned = Secrets::default().clean(&text);
        prop_assert!(cleaned.chars().count() <= MAX_CHARS);
        prop_assert!(!cleaned.chars().any(char::is_control));
    }
}

#[test]
fn an_address_stays_readable_unless_a_key_is_within_it() {
    let address = "Error while downloading https://images.example.org/8xznAGy4HcY/800x400.";
    assert_eq!(Secrets::default().clean(address), address);
    let with_key = "see https://api.example.org/v1/aB3dE5fG7hI9jK1lM3nO5/x?key=abc123";
    assert_eq!(Secrets::default().clean(with_key), "see https:[hidden]?key=[hidden]");
}
