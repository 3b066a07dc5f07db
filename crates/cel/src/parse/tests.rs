//! Texts and what comes of them; the inputs and outcomes are those of cel-go's parser.

use super::{Macros, parse};
use crate::ast::{Expr, ExprKind, functions};

const OPERANDS: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, \
                        BYTES, IDENTIFIER}";

fn parsed(text: &str) -> Result<Expr, String> {
    parse(text, Macros { two_variables: true, sort_by: true, bind: true })
        .map_err(|issues| issues.to_string())
}

/// Checks every issue of a text, given as column and message.
fn wrong(text: &str, expected: &[(usize, &str)]) {
    let shown: Vec<String> = expected
        .iter()
        .map(|(column, message)| {
            let message = message.replace("OPERANDS", OPERANDS);
            format!("ERROR: <input>:1:{column}: {message}\n | {text}\n | {}^", ".".repeat(column - 1))
        })
        .collect();
    assert_eq!(parsed(text).expect_err(text), shown.join("\n"));
}

#[test]
fn missing_operands_are_mismatched_inputs() {
    wrong("self.gauge >", &[(13, "Syntax error: mismatched input '<EOF>' expecting OPERANDS")]);
    let nothing = format!("ERROR: <input>:1:0: Syntax error: mismatched input '<EOF>' expecting {OPERANDS}");
    assert_eq!(parsed(""), Err(nothing));
    wrong(
        "1 + +",
        &[
            (5, "Syntax error: mismatched input '+' expecting OPERANDS"),
            (6, "Syntax error: mismatched input '<EOF>' expecting OPERANDS"),
        ],
    );
    wrong(
        "in",
        &[
            (1, "Syntax error: mismatched input 'in' expecting OPERANDS"),
            (3, "Syntax error: mismatched input '<EOF>' expecting OPERANDS"),
        ],
    );
}

#[test]
fn unbalanced_brackets() {
    wrong("TestAllTypes(){}", &[(15, "Syntax error: mismatched input '{' expecting <EOF>")]);
    wrong("{a}", &[(3, "Syntax error: mismatched input '}' expecting ':'")]);
    wrong("ind[a{b}]", &[(8, "Syntax error: mismatched input '}' expecting ':'")]);
    wrong(
        "func{{a}}",
        &[
            (6, "Syntax error: extraneous input '{' expecting {'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}"),
            (8, "Syntax error: mismatched input '}' expecting ':'"),
            (9, "Syntax error: extraneous input '}' expecting <EOF>"),
        ],
    );
    wrong(
        "{",
        &[(
            2,
            "Syntax error: mismatched input '<EOF>' expecting {'[', '{', '}', '(', '.', ',', '-', '!', '?', 'true', \
         'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
        )],
    );
}

#[test]
fn unknown_characters_are_skipped() {
    wrong(
        "*@a | b",
        &[
            (1, "Syntax error: extraneous input '*' expecting OPERANDS"),
            (2, "Syntax error: token recognition error at: '@'"),
            (5, "Syntax error: token recognition error at: '| '"),
            (7, "Syntax error: extraneous input 'b' expecting <EOF>"),
        ],
    );
    wrong(
        r#""\xFh""#,
        &[
            (1, r#"Syntax error: token recognition error at: '"\xFh'"#),
            (6, "Syntax error: token recognition error at: '\"'"),
            (7, "Syntax error: mismatched input '<EOF>' expecting OPERANDS"),
        ],
    );
}

#[test]
fn no_alternative_fits() {
    wrong("{\"a\": 1}.\"a\"", &[(10, "Syntax error: no viable alternative at input '.\"a\"'")]);
    wrong(
        "--",
        &[
            (3, "Syntax error: no viable alternative at input '-'"),
            (3, "Syntax error: mismatched input '<EOF>' expecting OPERANDS"),
        ],
    );
    // A negative number is one and the negation of one: that is no reason to find no alternative.
    wrong("(-5", &[(4, "Syntax error: missing ')' at '<EOF>'")]);
    wrong("self.true == 1", &[(6, "Syntax error: mismatched input 'true' expecting IDENTIFIER")]);
}

#[test]
fn reserved_words_and_literals() {
    wrong("namespace", &[(1, "reserved identifier: namespace")]);
    wrong("0xFFFFFFFFFFFFFFFFF", &[(1, "invalid int literal")]);
    wrong("1.99e90000009", &[(1, "invalid double literal")]);
    wrong(r"'\udead' == '\ufffd'", &[(1, "invalid unicode code point")]);
    wrong("a.`b-c`", &[(3, "unsupported syntax: '`'")]);
    assert!(
        parsed(r#""\x41\u00e9\101" == r'\n' && b'\xff' != b"""a"b""" && -9223372036854775808 < 0x10"#)
            .is_ok()
    );
}

#[test]
fn macros_that_are_used_wrongly() {
    wrong("has(m)", &[(5, "invalid argument to has() macro")]);
    wrong("1.all(2, 3)", &[(7, "argument must be a simple name")]);
    wrong("m.map(__result__, __result__)", &[(7, "iteration variable overwrites accumulator variable")]);
    wrong("m.filter(a.b, false)", &[(11, "argument is not an identifier")]);
    wrong("m.all(a, a, true)", &[(10, "duplicate variable name: a")]);
}

#[test]
fn wide_characters_get_wide_marks() {
    let text = "      '😁' in ['😁', '😑', '😦']\n\t\t\t&& in.😁";
    let shown = parsed(text).expect_err(text);
    let last = "ERROR: <input>:2:11: Syntax error: no viable alternative at input '.'\n |    && in.😁\n | .........．^";
    assert!(shown.ends_with(last), "{shown}");
}

#[test]
fn operators_bind_by_precedence_and_stand_where_they_are_written() {
    let expr = parsed("a || b && c == 1 + 2 * 3").expect("valid");
    let ExprKind::Call(or) = &expr.kind else { panic!("{expr:?}") };
    assert_eq!((&*or.function, expr.offset), (functions::OR, 2));
    let ExprKind::Call(and) = &or.arguments[1].kind else { panic!("{expr:?}") };
    assert_eq!((&*and.function, or.arguments[1].offset), (functions::AND, 7));
    let ExprKind::Call(equals) = &and.arguments[1].kind else { panic!("{expr:?}") };
    assert_eq!(&*equals.function, functions::EQUALS);
    let ExprKind::Call(add) = &equals.arguments[1].kind else { panic!("{expr:?}") };
    assert_eq!((&*add.function, equals.arguments[1].offset), (functions::ADD, 17));
}

#[test]
fn nesting_and_size_are_limited() {
    let nested = format!("{}1{}", "[".repeat(251), "]".repeat(251));
    assert_eq!(parsed(&nested), Err("ERROR: <input>:-1:0: expression recursion limit exceeded: 250".into()));
    let long = vec!["1"; 260].join(" + ");
    assert_eq!(parsed(&long), Err("ERROR: <input>:-1:0: max recursion depth exceeded".into()));
    assert!(parsed(&vec!["true"; 1000].join(" && ")).is_ok());
    let size = "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, limit 100000";
    assert_eq!(parsed(&" ".repeat(100_001)), Err(size.into()));
    let doubling = format!("a{}", ".optMap(x, x)".repeat(40));
    assert!(parsed(&doubling).expect_err("too large").contains("expression size exceeds limit"));
}
