//! What Go 1.26 answered for the same patterns.

use super::error::{Mistake, SyntaxError};
use super::tree::MAX_DEPTH;
use super::{compile, go_regex};

/// Patterns that Go refuses with these words, and the fragment that it shows.
#[track_caller]
fn refused(words: &str, patterns: &[(&str, &str)]) {
    for (pattern, fragment) in patterns {
        let error = go_regex(pattern).unwrap_err();
        assert_eq!(error, format!("error parsing regexp: {words}: `{fragment}`"), "{pattern}");
    }
}

#[track_caller]
fn matches(patterns: &[(&str, &str, bool)]) {
    for (pattern, text, expect) in patterns {
        let regex = go_regex(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(regex.is_match(text), *expect, "{pattern} on {text}");
    }
}

#[test]
fn repetitions_of_repetitions_are_refused() {
    refused(
        "invalid nested repetition operator",
        &[
            ("a**", "**"),
            ("a*+", "*+"),
            ("a++", "++"),
            ("a{2}*", "{2}*"),
            ("a{2}{3}", "{2}{3}"),
            ("a???", "???"),
            ("a{2}??", "{2}??"),
            ("a**?", "**?"),
            ("x{1000}{1000}", "{1000}{1000}"),
        ],
    );
}

#[test]
fn repeat_counts_have_limits() {
    refused(
        "invalid repeat count",
        &[
            ("x{1001}", "{1001}"),
            ("x{0,1001}", "{0,1001}"),
            ("(x{100}){100}", "{100}"),
            ("(x{2}){501}", "{501}"),
            ("x{99999999999999999999}", "{99999999999999999999}"),
            ("x{2,1}", "{2,1}"),
        ],
    );
}

#[test]
fn ranges_and_properties_have_to_exist() {
    refused(
        "invalid character class range",
        &[
            ("[[:foo:]]", "[:foo:]"),
            ("[[:<:]]", "[:<:]"),
            ("[a--b]", "a--"),
            ("[b-a]", "b-a"),
            (r"\p{Foo}", r"\p{Foo}"),
            (r"\p", r"\p"),
            (r"\pX", r"\pX"),
            (r"\p{Greek", r"\p{Greek"),
            (r"\p{Old_Italic}", r"\p{Old_Italic}"),
            (r"\p{Grek}", r"\p{Grek}"),
            (r"[\p{Foo}]", r"\p{Foo}"),
        ],
    );
}

#[test]
fn letters_are_escaped_only_where_that_means_something() {
    refused(
        "invalid escape sequence",
        &[
            (r"\u0041", r"\u"),
            (r"[a-\d]", r"\d"),
            (r"\1", r"\1"),
            (r"\8", r"\8"),
            (r"\q", r"\q"),
            (r"\é", r"\é"),
            (r"\xg", r"\xg"),
            (r"\x1", r"\x1"),
            (r"\x{}", r"\x{}"),
            (r"\x{110000}", r"\x{110000"),
            (r"\C", r"\C"),
            (r"\Z", r"\Z"),
            (r"[\b]", r"\b"),
        ],
    );
}

#[test]
fn groups_of_perl_that_go_lacks_are_refused() {
    refused(
        "invalid or unsupported Perl syntax",
        &[
            ("(?x)a", "(?x"),
            ("(?!x)", "(?!"),
            ("(?=x)", "(?="),
            ("(?>x)", "(?>"),
            ("(?#c)", "(?#"),
            ("(?'n'a)", "(?'"),
            ("(?i", "(?i"),
            ("(?i-)", "(?i-)"),
            ("(?z)", "(?z"),
            ("(?z)a", "(?z"),
            ("(?", "(?"),
            ("(?--i)a", "(?--"),
            ("(?P=n)", "(?P"),
            ("(?P<", "(?P"),
            ("(?<", "(?<"),
        ],
    );
}

#[test]
fn names_of_groups_are_words() {
    refused(
        "invalid named capture",
        &[
            ("(?P<é>c)", "(?P<é>"),
            ("(?<=x)", "(?<=x)"),
            ("(?<!x)", "(?<!x)"),
            ("(?P<>a)", "(?P<>"),
            ("(?P<n", "(?P<n"),
            ("(?<n", "(?<n"),
        ],
    );
}

#[test]
fn repetitions_need_something_to_repeat() {
    refused(
        "missing argument to repetition operator",
        &[("*a", "*"), ("a|*", "*"), ("(?i)*", "*"), ("(*)", "*"), (r"\Q\E*", "*")],
    );
}

#[test]
fn a_backslash_is_not_the_last() {
    refused("trailing backslash at end of expression", &[(r"a\", ""), (r"[\", "")]);
}

#[test]
fn groups_end() {
    refused("missing closing )", &[("(", "("), ("(a", "(a")]);
}

#[test]
fn only_groups_end() {
    refused("unexpected )", &[("a)", "a)"), ("a)(", "a)("), (")", ")")]);
}

#[test]
fn classes_end() {
    refused(
        "missing closing ]",
        &[
            ("[a", "[a"),
            ("[", "["),
            ("[]", "[]"),
            ("[^]", "[^]"),
            ("[[:alpha:]", "[[:alpha:]"),
            ("x[b-", "[b-"),
        ],
    );
}

#[test]
fn sets_of_characters_are_go_s() {
    matches(&[
        (r"^\d+$", "12", true),
        (r"^\d+$", "\u{0663}", false),
        (r"^[\w.]+$", "a_b.c", true),
        (r"^[^\s]+$", "a b", false),
        (r"^\s$", "\u{b}", false),
        (r"^[[:space:]]$", "\u{b}", true),
        (r"^[[]$", "[", true),
        (r"^[]a]+$", "]a", true),
        (r"^[^]a]$", "]", false),
        (r"^[a&&b]+$", "a&b", true),
        (r"^[a~~b]+$", "a~b", true),
        (r"^[a-]+$", "a-", true),
        (r"^[\d-z]+$", "1-z", true),
        (r"^[[:alpha:]]+$", "abc", true),
        (r"^[[:^alpha:]]+$", "abc", false),
        (r"^[:alpha:]+$", "alp:", true),
        (r"^[\D]+$", "ab", true),
        (r"(?i)^\w$", "\u{212a}", true),
        (r"(?i)^\W$", "\u{212a}", false),
        (r"[^\x00-\x{10FFFF}]", "a", false),
        (r"[\x{D800}-\x{DFFF}]", "\u{fffd}", false),
        (r"^[^\x{D800}]$", "\u{fffd}", true),
        (r"\x{D800}", "\u{fffd}", false),
    ]);
}

#[test]
fn properties_are_unicode_15_s() {
    matches(&[
        (r"^\p{Greek}$", "\u{03b1}", true),
        (r"^\p{gr-E_ek}$", "\u{03b1}", true),
        (r"^\P{^Greek}$", "\u{03b1}", true),
        (r"^\p{^Lu}$", "A", false),
        (r"^\pL$", "\u{e9}", true),
        (r"^\p{Uppercase_Letter}$", "A", true),
        (r"^[\pN\PL]+$", "1.", true),
        (r"(?i)^\p{Lu}$", "a", true),
        (r"\p{Cs}", "a", false),
        // Assigned by Unicode 16.
        (r"\p{Lu}", "\u{a7da}", false),
        (r"\p{Cn}", "\u{a7da}", true),
        (r"\p{Assigned}", "\u{a7da}", false),
        (r"\p{Mn}", "\u{1171e}", true),
        (r"\p{Mc}", "\u{1171e}", false),
    ]);
}

#[test]
fn what_only_go_knows_is_translated() {
    matches(&[
        (r"\Qa.b\E", "a.b", true),
        (r"\Qa.b\E", "acb", false),
        (r"^\Qab", "ab", true),
        (r"^a\Q\E+$", "aa", true),
        ("^a{,2}$", "a{,2}", true),
        ("^a{2$", "a{2", true),
        ("^a{02}$", "a{02}", true),
        ("^a{$", "a{", true),
        ("^(?P<1a>x)$", "x", true),
        ("^(?<n>a)(?P<n>b)$", "ab", true),
        ("(?ii)a", "A", true),
        (r"^\0$", "\0", true),
        (r"^\07$", "\u{7}", true),
        (r"^\123$", "S", true),
        (r"^\400$", "\u{100}", true),
        (r"^\_\-\<\>$", "_-<>", true),
        (r"\bfoo\b", "a foo", true),
        (r"\bfoo\b", "\u{e9}foo", true),
        (r"\Ba", "\u{e9}a", false),
        (r"^a/b\/c$", "a/b/c", true),
        (r"^a*(?i)*$", "aaa", true),
        ("^(?:a|(?i)b|c)+$", "aBC", true),
        ("(?i:a)b", "AB", false),
        ("a # b", "a # b", true),
        (r"a\z", "a\n", false),
        ("a$", "a\n", false),
        ("(?m)a$", "a\n", true),
        ("a.b", "a\nb", false),
        ("(?s)a.b", "a\nb", true),
        ("^*$", "", true),
        ("(|a)*", "b", true),
    ]);
}

#[test]
fn repetitions_are_lazy_where_flags_or_marks_say_so() {
    for (pattern, expect) in
        [("a+", "aaa"), ("a+?", "a"), ("(?U)a+", "a"), ("(?U)a+?", "aaa"), ("a{2,}?", "aa")]
    {
        let regex = go_regex(pattern).unwrap();
        assert_eq!(regex.find("aaa").map(|found| found.as_str()), Some(expect), "{pattern}");
    }
}

#[test]
fn expressions_are_as_deep_as_go_allows() {
    let nested = |before: &str, inner: &str, after: &str, times: usize| {
        let pattern = before.repeat(times) + inner + &after.repeat(times);
        go_regex(&pattern).map_err(|error| error.replace(&pattern, "PATTERN"))
    };
    let too_deep = "error parsing regexp: expression nests too deeply: `PATTERN`";
    for (before, inner, after, most) in
        [("(", "ab", ")", 999), ("(", "a|b", ")", 999), ("(", "a*b", ")", 997), ("(?:", "a*", ")*", 998)]
    {
        assert!(nested(before, inner, after, most).unwrap().is_match("ab"), "{before}{inner}{after}");
        assert_eq!(nested(before, inner, after, most + 1).unwrap_err(), too_deep, "{before}{inner}{after}");
    }
    assert!(nested("(?:", "a", ")", 1500).unwrap().is_match("a"));
    assert!(nested("(?:b*", "a", ")", 1990).unwrap().is_match("ba"));
    assert!(nested("(?:c|", "a", ")", 1500).unwrap().is_match("a"));
    // Go would count these as one sequence, and one set.
    assert_eq!(nested("(?:b*", "a", ")", MAX_DEPTH as usize).unwrap_err(), too_deep);
    assert_eq!(nested("(?:c|", "a", ")", MAX_DEPTH as usize).unwrap_err(), too_deep);
    assert_eq!(nested("(", "a", "", 5000).unwrap_err(), "error parsing regexp: missing closing ): `PATTERN`");
}

#[test]
fn expressions_are_as_large_as_go_allows() {
    assert!(go_regex("((x{10}){10}){10}").is_ok());
    assert!(go_regex("(x{2}){500}").is_ok());
    assert!(go_regex("((x{0}){1000})*").is_ok());
    assert!(go_regex(r"^[\pL\pN_ -]{1,256}$").unwrap().is_match("a b"));
    for pattern in [
        format!("({})", "a{1000}".repeat(3400)),
        r"\pL".repeat(100_000),
        format!("(?i){}", r"[^a\W]".repeat(100_000)),
    ] {
        assert_eq!(compile(&pattern).unwrap_err(), SyntaxError::new(Mistake::TooLarge, &pattern));
    }
}

/// What Go accepts has to be valid when it is written anew, whatever it is made of.
#[test]
fn any_pattern_compiles_or_is_refused() {
    const TOKENS: &[&str] = &[
        "a",
        "K",
        "\u{17f}",
        "1",
        "-",
        ".",
        "^",
        "$",
        "|",
        "(",
        "(",
        ")",
        ")",
        "(?:",
        "(?i)",
        "(?s-i:",
        "(?P<n>",
        "(?<",
        "(?",
        "?",
        "*",
        "+",
        "{2}",
        "{2,}",
        "{0,3}",
        "{1001}",
        "{",
        "}",
        "[",
        "[^",
        "]",
        "[:alpha:]",
        "[:^word:]",
        ":]",
        "a-z",
        "&&",
        "~~",
        "--",
        "#",
        " ",
        "\n",
        "\\",
        r"\d",
        r"\W",
        r"\b",
        r"\B",
        r"\A",
        r"\z",
        r"\C",
        r"\Q",
        r"\E",
        r"\x{D7FF}",
        r"\x{DFFF}",
        r"\x4",
        r"\12",
        r"\pL",
        r"\p{^Lu}",
        r"\P{Greek}",
        r"\p{",
        r"\p{Cs}",
        "\u{e9}",
        "\u{1f600}",
        "\0",
    ];
    let mut state: u64 = 20;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut accepted = 0;
    for _ in 0..4000 {
        let pattern: String = (0..1 + random(8)).map(|_| TOKENS[random(TOKENS.len())]).collect();
        match compile(&pattern) {
            Ok(regex) => {
                accepted += 1;
                let _ = regex.find("aK1\n");
            }
            Err(error) => assert_ne!(error, SyntaxError::new(Mistake::Internal, &pattern)),
        }
    }
    assert!(accepted > 400, "{accepted}");
}
