use super::*;

const ACCEPT: &str =
    "2 123456789012 eni-0a 10.1.1.5 10.1.2.9 43210 22 6 12 1440 1700000000 1700000059 ACCEPT OK";
const REJECT: &str =
    "2 123456789012 eni-0a 10.1.2.7 10.1.1.5 0 0 1 4 336 1700000000 1700000059 REJECT OK";

fn matches(pattern: &str, message: &str) -> bool {
    Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).matches(message)
}

#[test]
fn terms_are_required_excluded_or_optional() {
    for (pattern, message, expected) in [
        ("", "anything", true),
        ("ERROR", "[ERROR 400] bad", true),
        ("ERROR", "error", false),
        ("ERROR ARGUMENTS", "ERROR without", false),
        ("ERROR ARGUMENTS", "ARGUMENTS then ERROR", true),
        ("?ERROR ?WARN", "WARN: low", true),
        ("?ERROR ?WARN", "INFO", false),
        ("ERROR -EXITING", "ERROR going on", true),
        ("ERROR -EXITING", "ERROR EXITING", false),
        ("-EXITING", "fine", true),
        ("\"INTERNAL SERVER ERROR\"", "500 INTERNAL SERVER ERROR", true),
        ("\"10.1.2.7\"", REJECT, true),
        ("%ERR(OR)?%", "ERR", true),
        ("%^2 .* REJECT%", REJECT, true),
        ("%^2 .* REJECT%", ACCEPT, false),
    ] {
        assert_eq!(matches(pattern, message), expected, "{pattern} on {message}");
    }
    let error = Pattern::parse("10.1.2.7").expect_err("not without quotes");
    assert_eq!(error.0, "Invalid character(s) in term '10.1.2.7'");
}

#[test]
fn flow_log_records_are_space_delimited() {
    let reject = "[version, account, eni, source, destination, srcport, destport, protocol, packets, \
                  bytes, start, end, action=\"REJECT\", status]";
    for (pattern, accept, rejected) in [
        (reject, false, true),
        ("[..., action=REJECT, status]", false, true),
        ("[version, account, eni, source = 10.1.2.*, ...]", false, true),
        ("[version, account, eni, source, destination, srcport, destport=22, ...]", true, false),
        ("[v, a, e, s, d, sp, dp, p, packets, bytes > 1000, ...]", true, false),
        ("[v, a, e, s, d, sp, dp, p, packets, bytes >= 336 && bytes < 1440, ...]", false, true),
        ("[v, a, e, s, d, sp, dp, protocol = 1 || protocol = 17, ...]", false, true),
        ("[v, a, e, s != 10.1.2.*, ...]", true, false),
        ("[one, two]", false, false),
        ("[...]", true, true),
        ("[v,,,,,,,,,,,,action = %REJ|DROP%,]", false, true),
        // As AWS's guides write it.
        (
            "[version, account, eni, source, destination, srcport, destport=\"22\", protocol=\"6\", \
             packets, bytes, windowstart, windowend, action=\"REJECT\", flowlogstatus]",
            false,
            false,
        ),
        (
            "[version, account, eni, source, destination, srcport, destport=\"22\", protocol=\"6\", \
             packets, bytes, windowstart, windowend, action=\"ACCEPT\", flowlogstatus]",
            true,
            false,
        ),
        ("[v, a, e, s = \"10.1.2.*\" || s = \"10.9.*\", ...]", false, true),
        (
            "[..., packets < 5 && packets != 3, bytes = 336, begin, end, action, status]",
            false,
            true,
        ),
        ("[v, a, e, s, d, sp = 43210 && sp != 22, ...]", true, false),
        ("[v, a, e != eni-0b, s, d, sp, dp, p, packets, bytes = 14*, ...]", true, false),
        ("[..., action = REJECT || action = ACCEPT, status = OK]", true, true),
        ("[v, a, ..., status = NODATA]", false, false),
    ] {
        assert_eq!(matches(pattern, ACCEPT), accept, "{pattern}");
        assert_eq!(matches(pattern, REJECT), rejected, "{pattern}");
    }
}

#[test]
fn quotes_and_brackets_make_one_field() {
    let line =
        r#"127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;
    assert!(matches("[ip, user, name, timestamp, request = *.html*, status = 4*, bytes]", line));
    assert!(!matches("[ip, user, name, timestamp, request, status = 5*, bytes]", line));
    let extracted = Pattern::parse("[ip, ..., bytes > 1000]").expect("read").extract(line);
    let extracted = extracted.expect("matches");
    assert_eq!(extracted.get("$ip").map(String::as_str), Some("127.0.0.1"));
    assert_eq!(extracted.get("$bytes").map(String::as_str), Some("1534"));
}

/// A text that an event must have is looked for before its fields are; what matches stays the same.
#[test]
fn what_a_field_must_be_may_stand_in_quotes_or_brackets() {
    let line = r#"a [b c] "d e" f"#;
    for (pattern, expected) in [
        ("[w, x = \"b c\", y, z]", true),
        ("[w, x = *c, y = d*e, z]", true),
        ("[w, x, y = \"\\\"d e\", z]", false),
        ("[w, x = \"c\", y, z]", false),
        ("[w, x, y, z = f || z = g]", true),
        ("[w, x != \"nowhere\", y, z = *]", true),
        ("[w = nowhere || w = a, x, y, z]", true),
        ("[w = nowhere && w = a, x, y, z]", false),
    ] {
        assert_eq!(matches(pattern, line), expected, "{pattern}");
    }
}

#[test]
fn json_is_selected_by_its_properties() {
    let event =
        r#"{"action":"REJECT","bytes":1500,"tags":["a","b"],"user":{"id":null,"on":true},"a b":1}"#;
    for (pattern, expected) in [
        ("{ $.action = \"REJECT\" }", true),
        ("{$.action=REJECT}", true),
        ("{ $.action = REJ* }", true),
        ("{ $.action != \"REJECT\" }", false),
        ("{ $.bytes > 1000 }", true),
        ("{ $.bytes <= 1.5e3 }", true),
        ("{ $.bytes < 1500 }", false),
        ("{ ($.action = ACCEPT) || ($.bytes >= 1500 && $.tags[1] = b) }", true),
        ("{ $.user.id IS NULL }", true),
        ("{ $.user.on IS TRUE }", true),
        ("{ $.user.on IS FALSE }", false),
        ("{ $.user.name NOT EXISTS }", true),
        ("{ $.nothing = 1 }", false),
        ("{ $.['a b'] = 1 }", false),
        ("{ $['a b'] = 1 }", true),
        ("{ $.action = %^REJ% }", true),
    ] {
        let Ok(pattern) = Pattern::parse(pattern) else {
            assert!(!expected, "{pattern} is a pattern");
            continue;
        };
        assert_eq!(pattern.matches(event), expected, "{pattern:?}");
        assert!(!pattern.matches("no json"), "{pattern:?}");
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    for text in [
        "{",
        "{ }",
        "{ $.a }",
        "{ $.a = }",
        "{ a = 1 }",
        "{ $.a > text }",
        "[a",
        "[a b]",
        "[..., ...]",
        "[a = ]",
        "[a=1 && b=2]",
        "\"open",
        "%open",
        "%(%",
        "-",
        "?",
        "[a] b",
        "{ $.a[x] = 1 }",
    ] {
        assert!(Pattern::parse(text).is_err(), "{text}");
    }
    let deep = format!("{{ {} $.a = 1", "(".repeat(10_000));
    assert!(Pattern::parse(&deep).is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_pattern_or_refused(pattern in "[\\[{(\\]})$.a-c=<>!&|\"'%*?, -]{0,24}", message in ".{0,24}") {
        if let Ok(pattern) = Pattern::parse(&pattern) {
            let _ = pattern.extract(&message);
        }
    }
}
