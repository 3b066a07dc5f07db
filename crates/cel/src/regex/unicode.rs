//! Sets of characters by their properties in Unicode: general categories and scripts.

use super::cursor::Cursor;
use super::error::{Mistake, SyntaxError};
use super::write;

/// General categories, which Go also knows by the names of [`CATEGORY_NAMES`].
const CATEGORIES: &[&str] = &[
    "c", "cc", "cf", "cn", "co", "cs", "l", "lc", "ll", "lm", "lo", "lt", "lu", "m", "mc", "me", "mn", "n",
    "nd", "nl", "no", "p", "pc", "pd", "pe", "pf", "pi", "po", "ps", "s", "sc", "sk", "sm", "so", "z", "zl",
    "zp", "zs",
];

/// Unicode's longer names of general categories.
const CATEGORY_NAMES: &str = "casedletter closepunctuation combiningmark connectorpunctuation control currencysymbol \
    dashpunctuation decimalnumber enclosingmark finalpunctuation format initialpunctuation letter letternumber \
    lineseparator lowercaseletter mark mathsymbol modifierletter modifiersymbol nonspacingmark number openpunctuation \
    other otherletter othernumber otherpunctuation othersymbol paragraphseparator privateuse punctuation separator \
    spaceseparator spacingmark surrogate symbol titlecaseletter unassigned uppercaseletter cntrl digit punct";

/// Scripts of Unicode 15 whose names are one word. Go 1.26 does not find the others: it drops what separates the words
/// from the name that it looks for, but not from those that it looks at.
const SCRIPTS: &str = "adlam ahom arabic armenian avestan balinese bamum batak bengali bhaiksuki bopomofo \
    brahmi braille buginese buhid carian chakma cham cherokee chorasmian common coptic cuneiform cypriot \
    cyrillic deseret devanagari dogra duployan elbasan elymaic ethiopic georgian glagolitic gothic grantha \
    greek gujarati gurmukhi han hangul hanunoo hatran hebrew hiragana inherited javanese kaithi kannada \
    katakana kawi kharoshthi khmer khojki khudawadi lao latin lepcha limbu lisu lycian lydian mahajani makasar \
    malayalam mandaic manichaean marchen medefaidrin miao modi mongolian mro multani myanmar nabataean \
    nandinagari newa nko nushu ogham oriya osage osmanya palmyrene phoenician rejang runic samaritan \
    saurashtra sharada shavian siddham sinhala sogdian soyombo sundanese syriac tagalog tagbanwa takri tamil \
    tangsa tangut telugu thaana thai tibetan tifinagh tirhuta toto ugaritic vai vithkuqi wancho yezidi yi";

/// The set that is meant by a `p` or `P` and what follows it, behind the backslash at `start`, in the regex crate's
/// notation. Answers none, and does not move, if there is no such letter.
///
/// # Errors
/// When Go does not know the property.
pub(super) fn property(cursor: &mut Cursor<'_>, start: Cursor<'_>) -> Result<Option<String>, SyntaxError> {
    let Some(letter) = cursor.next_if(|c| matches!(c, 'p' | 'P')) else { return Ok(None) };
    let name = if cursor.eat("{") {
        cursor.until("}").ok_or_else(|| start.mistake_in_rest(Mistake::CharRange))?
    } else {
        let before = *cursor;
        cursor.next();
        cursor.since(before)
    };
    let (name, is_negated) = match name.strip_prefix('^') {
        Some(name) => (name, letter == 'p'),
        None => (name, letter == 'P'),
    };
    let set = named(&loose(name), is_negated).ok_or_else(|| cursor.mistake(Mistake::CharRange, start))?;
    Ok(Some(set))
}

/// A name as names are compared: without case and separators.
fn loose(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
}

/// The regex crate knows a later Unicode, so what came with that is left out.
fn named(name: &str, negated: bool) -> Option<String> {
    let has = |names: &str| names.split_ascii_whitespace().any(|known| known == name);
    let items = match name {
        "any" => r"\x00-\x{10FFFF}".to_owned(),
        "ascii" => r"\x00-\x7F".to_owned(),
        // Half of a surrogate pair is in no text.
        "cs" | "surrogate" => String::new(),
        "assigned" => r"\P{gc=cn}&&\p{age=15.0}".to_owned(),
        "c" | "other" | "cn" | "unassigned" => format!(r"\p{{gc={name}}}\P{{age=15.0}}"),
        // The one character that later changed its category.
        "mc" | "spacingmark" => r"\p{gc=mc}&&[\p{age=15.0}--\x{1171E}]".to_owned(),
        "mn" | "nonspacingmark" => r"\p{gc=mn}\x{1171E}&&\p{age=15.0}".to_owned(),
        name if CATEGORIES.contains(&name) || has(CATEGORY_NAMES) => {
            format!(r"\p{{gc={name}}}&&\p{{age=15.0}}")
        }
        name if has(SCRIPTS) => format!(r"\p{{sc={name}}}&&\p{{age=15.0}}"),
        _ => return None,
    };
    Some(write::bracketed(&items, negated))
}
