//! Makes the expression from a parse tree: literals get their values, calls of macros are expanded, and what the
//! grammar cannot tell is checked. Of a tree with syntax errors it makes what it can, to find more errors.

use std::sync::Arc;

use super::RESERVED;
use super::grammar::Rule;
use super::literals;
use super::machine::{Child, Node, Tree};
use super::macros::{Macros, expand};
use super::token::{Kind, Token};
use crate::ast::{Call, Element, Entry, Expr, ExprKind, Field, Literal, NodeId, Select, Struct, functions};
use crate::source::Issue;

/// How deeply expressions may be nested.
const DEEPEST: usize = 250;
/// How many nodes an expression may have, macros expanded. Upstream has no such limit; some macros double what they hold.
const MOST_NODES: NodeId = 200_000;

/// A limit is reached; its issue is reported.
#[derive(Debug)]
pub(super) struct Halt;

pub(super) struct Builder<'a> {
    pub(super) macros: Macros,
    text: &'a [char],
    tree: &'a Tree,
    issues: &'a mut Vec<Issue>,
    next: NodeId,
    depth: usize,
}

/// The expression of a parse tree; without one if a limit ended it.
pub(super) fn build(text: &[char], tree: &Tree, macros: Macros, issues: &mut Vec<Issue>) -> Option<Expr> {
    let mut builder = Builder { macros, text, tree, issues, next: 1, depth: 0 };
    let root = builder.child(&tree.nodes[tree.root], Rule::Expr, 0);
    builder.optional(root, 0).ok()
}

impl Builder<'_> {
    /// A node of the expression.
    pub(super) fn expr(&mut self, offset: u32, kind: ExprKind) -> Expr {
        Expr { id: self.id(), offset, kind }
    }

    fn id(&mut self) -> NodeId {
        let id = self.next;
        self.next += 1;
        id
    }

    /// Reports an issue; what stands for the expression that cannot be made.
    pub(super) fn report(&mut self, offset: u32, message: impl Into<String>) -> Expr {
        self.issues.push(Issue::at(offset, message));
        self.nothing(offset)
    }

    fn nothing(&mut self, offset: u32) -> Expr {
        self.expr(offset, ExprKind::Literal(Literal::Null))
    }

    pub(super) fn check_size(&mut self) -> Result<(), Halt> {
        if self.next > MOST_NODES {
            self.issues.push(Issue::whole(format!("expression size exceeds limit: {MOST_NODES} nodes")));
            return Err(Halt);
        }
        Ok(())
    }

    /// The same expression with new numbers.
    pub(super) fn copy(&mut self, expr: &Expr) -> Result<Expr, Halt> {
        self.check_size()?;
        let kind = match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Ident(_) => expr.kind.clone(),
            ExprKind::Select(select) => {
                let operand = self.copy(&select.operand)?;
                ExprKind::Select(Box::new(Select { operand, field: select.field.clone(), test: select.test }))
            }
            ExprKind::Call(call) => ExprKind::Call(Box::new(Call {
                target: call.target.as_ref().map(|target| self.copy(target)).transpose()?,
                function: call.function.clone(),
                arguments: call
                    .arguments
                    .iter()
                    .map(|argument| self.copy(argument))
                    .collect::<Result<_, _>>()?,
            })),
            ExprKind::List(elements) => {
                let copy = |e: &Element| Ok(Element { optional: e.optional, value: self.copy(&e.value)? });
                ExprKind::List(elements.iter().map(copy).collect::<Result<_, _>>()?)
            }
            ExprKind::Map(entries) => {
                let copy = |e: &Entry| {
                    let (key, value) = (self.copy(&e.key)?, self.copy(&e.value)?);
                    Ok(Entry { id: self.id(), optional: e.optional, key, value })
                };
                ExprKind::Map(entries.iter().map(copy).collect::<Result<_, _>>()?)
            }
            ExprKind::Struct(object) => {
                let copy = |f: &Field| {
                    let value = self.copy(&f.value)?;
                    Ok(Field {
                        id: self.id(),
                        offset: f.offset,
                        optional: f.optional,
                        name: f.name.clone(),
                        value,
                    })
                };
                let fields = object.fields.iter().map(copy).collect::<Result<_, _>>()?;
                ExprKind::Struct(Box::new(Struct { type_name: object.type_name.clone(), fields }))
            }
            ExprKind::Comprehension(fold) => {
                let mut fold = fold.clone();
                for part in [
                    &mut fold.range,
                    &mut fold.initial,
                    &mut fold.condition,
                    &mut fold.step,
                    &mut fold.result,
                ] {
                    *part = self.copy(part)?;
                }
                ExprKind::Comprehension(fold)
            }
        };
        Ok(self.expr(expr.offset, kind))
    }

    // The tree's parts.

    fn child(&self, node: &Node, rule: Rule, which: usize) -> Option<usize> {
        children(self.tree, node, rule).nth(which)
    }

    fn tokens(&self, node: &Node, kinds: &[Kind]) -> Vec<Token> {
        let tokens = node.children.iter().filter_map(|child| match child {
            Child::Token(token) if kinds.contains(&token.kind) => Some(*token),
            Child::Missing(kind) if kinds.contains(kind) => {
                Some(Token { kind: *kind, start: node.offset, end: node.offset })
            }
            _ => None,
        });
        tokens.collect()
    }

    fn token(&self, node: &Node, kinds: &[Kind]) -> Option<Token> {
        self.tokens(node, kinds).first().copied()
    }

    fn text(&self, token: Token) -> String {
        self.text[token.start as usize..token.end as usize].iter().collect()
    }

    fn optional(&mut self, node: Option<usize>, offset: u32) -> Result<Expr, Halt> {
        match node {
            Some(node) => self.visit(node),
            None => Ok(self.nothing(offset)),
        }
    }

    /// The expression of a node, through nodes that add nothing.
    fn visit(&mut self, mut at: usize) -> Result<Expr, Halt> {
        let tree = self.tree;
        loop {
            let node = &tree.nodes[at];
            let through = match (node.rule, node.alternative) {
                (Rule::Expr, _) if self.token(node, &[Kind::Question]).is_none() => Rule::Or,
                (Rule::Or, _) if self.token(node, &[Kind::Or]).is_none() => Rule::And,
                (Rule::And, _) if self.token(node, &[Kind::And]).is_none() => Rule::Relation,
                (Rule::Relation, 0) => Rule::Calc,
                (Rule::Calc, 0) => Rule::Unary,
                (Rule::Unary, 1) => Rule::Member,
                (Rule::Member, 0) => Rule::Primary,
                (Rule::Primary, 3) => Rule::Expr,
                (Rule::Primary, 7) => Rule::Literal,
                _ => break,
            };
            match self.child(node, through, 0) {
                Some(inner) => at = inner,
                None => return Ok(self.nothing(node.offset)),
            }
        }
        let node = &tree.nodes[at];
        if !matches!(node.rule, Rule::Expr | Rule::Relation | Rule::Calc | Rule::Member) {
            return self.compound(node);
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            self.issues.push(Issue::whole("max recursion depth exceeded"));
            return Err(Halt);
        }
        let made = self.compound(node);
        self.depth -= 1;
        made
    }

    fn compound(&mut self, node: &Node) -> Result<Expr, Halt> {
        match (node.rule, node.alternative) {
            (Rule::Expr, _) => self.conditional(node),
            (Rule::Or, _) => self.chain(node, Kind::Or, Rule::And, functions::OR),
            (Rule::And, _) => self.chain(node, Kind::And, Rule::Relation, functions::AND),
            (Rule::Relation | Rule::Calc, _) => self.binary(node),
            (Rule::Unary, 2) => self.unary(node, Kind::Not, functions::NOT),
            (Rule::Unary, 3) => self.unary(node, Kind::Minus, functions::NEGATE),
            (Rule::Member, 1) => self.select(node),
            (Rule::Member, 2) => self.member_call(node),
            (Rule::Member, _) => self.index(node),
            (Rule::Primary, 1) => self.ident(node),
            (Rule::Primary, 2) => self.global_call(node),
            (Rule::Primary, 4) => self.list(node),
            (Rule::Primary, 5) => self.map(node),
            (Rule::Primary, 6) => self.object(node),
            (Rule::Literal, 1..) => Ok(self.literal(node)),
            _ => Ok(self.nothing(node.offset)),
        }
    }

    fn call(&mut self, offset: u32, function: &str, arguments: Vec<Expr>) -> Expr {
        let call = Call { target: None, function: function.into(), arguments };
        self.expr(offset, ExprKind::Call(Box::new(call)))
    }

    fn conditional(&mut self, node: &Node) -> Result<Expr, Halt> {
        let offset = self.token(node, &[Kind::Question]).map_or(node.offset, |token| token.start);
        let condition = self.optional(self.child(node, Rule::Or, 0), offset)?;
        let yes = self.optional(self.child(node, Rule::Or, 1), offset)?;
        let no = self.optional(self.child(node, Rule::Expr, 0), offset)?;
        Ok(self.call(offset, functions::CONDITIONAL, vec![condition, yes, no]))
    }

    fn chain(&mut self, node: &Node, operator: Kind, rule: Rule, function: &str) -> Result<Expr, Halt> {
        let operators: Vec<u32> = self.tokens(node, &[operator]).iter().map(|token| token.start).collect();
        let mut terms = Vec::new();
        for term in children(self.tree, node, rule) {
            terms.push(Some(self.visit(term)?));
        }
        if terms.len() != operators.len() + 1 {
            return Ok(self.nothing(node.offset));
        }
        Ok(self.balanced(&mut terms, &operators, function))
    }

    /// A tree of a chain's terms as flat as can be. There is one operator less than terms, each of which is there.
    fn balanced(&mut self, terms: &mut [Option<Expr>], operators: &[u32], function: &str) -> Expr {
        if operators.is_empty() {
            let term = terms.first_mut().and_then(Option::take);
            return term.unwrap_or(Expr { id: 0, offset: 0, kind: ExprKind::Literal(Literal::Null) });
        }
        let middle = operators.len() / 2;
        let (left, right) = terms.split_at_mut(middle + 1);
        let left = self.balanced(left, &operators[..middle], function);
        let right = self.balanced(right, &operators[middle + 1..], function);
        self.call(operators[middle], function, vec![left, right])
    }

    fn binary(&mut self, node: &Node) -> Result<Expr, Halt> {
        let left = self.optional(self.child(node, node.rule, 0), node.offset)?;
        let operator = node.children.iter().find_map(|child| match child {
            Child::Token(token) => Some((token.start, binary_function(token.kind)?)),
            _ => None,
        });
        let Some((offset, function)) = operator else {
            return Ok(self.report(node.offset, "operator not found"));
        };
        let right = self.optional(self.child(node, node.rule, 1), node.offset)?;
        Ok(self.call(offset, function, vec![left, right]))
    }

    fn unary(&mut self, node: &Node, operator: Kind, function: &str) -> Result<Expr, Halt> {
        let operators = self.tokens(node, &[operator]);
        let operand = self.optional(self.child(node, Rule::Member, 0), node.offset)?;
        match operators.first() {
            Some(first) if operators.len() % 2 == 1 => Ok(self.call(first.start, function, vec![operand])),
            _ => Ok(operand),
        }
    }

    /// A field's name, or the issue that there is none.
    fn name(&mut self, node: Option<usize>, report_at: Option<u32>) -> Option<Arc<str>> {
        let node = &self.tree.nodes[node?];
        let name = self.token(node, &[Kind::Identifier, Kind::Escaped]);
        let message = match name {
            Some(token) if token.kind == Kind::Identifier => return Some(self.text(token).into()),
            Some(_) => "unsupported syntax: '`'",
            None => "unsupported ident kind",
        };
        self.issues.push(Issue::at(report_at.unwrap_or(node.offset), message));
        None
    }

    fn select(&mut self, node: &Node) -> Result<Expr, Halt> {
        let operand = self.optional(self.child(node, Rule::Member, 0), node.offset)?;
        let (Some(dot), Some(name)) = (self.token(node, &[Kind::Dot]), self.child(node, Rule::Name, 0))
        else {
            return Ok(self.nothing(node.offset));
        };
        let field = self.name(Some(name), None).unwrap_or_else(|| "".into());
        if self.token(node, &[Kind::Question]).is_none() {
            let select = Select { operand, field, test: false };
            return Ok(self.expr(dot.start, ExprKind::Select(Box::new(select))));
        }
        let field = self.expr(self.tree.nodes[name].offset, ExprKind::Literal(Literal::String(field)));
        Ok(self.call(dot.start, functions::OPT_SELECT, vec![operand, field]))
    }

    fn member_call(&mut self, node: &Node) -> Result<Expr, Halt> {
        let target = self.optional(self.child(node, Rule::Member, 0), node.offset)?;
        let Some(name) = self.token(node, &[Kind::Identifier]) else { return Ok(self.nothing(node.offset)) };
        let arguments = self.arguments(node)?;
        let offset = self.token(node, &[Kind::LeftParenthesis]).map_or(node.offset, |token| token.start);
        expand(self, offset, &self.text(name), Some(target), arguments)
    }

    fn arguments(&mut self, node: &Node) -> Result<Vec<Expr>, Halt> {
        let Some(list) = self.child(node, Rule::ExprList, 0) else { return Ok(Vec::new()) };
        let tree = self.tree;
        children(tree, &tree.nodes[list], Rule::Expr).map(|argument| self.visit(argument)).collect()
    }

    fn index(&mut self, node: &Node) -> Result<Expr, Halt> {
        let operand = self.optional(self.child(node, Rule::Member, 0), node.offset)?;
        let Some(bracket) = self.token(node, &[Kind::LeftBracket]) else {
            return Ok(self.nothing(node.offset));
        };
        let index = self.optional(self.child(node, Rule::Expr, 0), node.offset)?;
        let optional = self.token(node, &[Kind::Question]).is_some();
        let function = if optional { functions::OPT_INDEX } else { functions::INDEX };
        Ok(self.call(bracket.start, function, vec![operand, index]))
    }

    /// The name that a node begins with, unless nobody may use it.
    fn leading_name(&mut self, node: &Node) -> Result<(Token, String), Expr> {
        let Some(token) = self.token(node, &[Kind::Identifier]) else {
            return Err(self.nothing(node.offset));
        };
        let name = self.text(token);
        if RESERVED.contains(&name.as_str()) {
            return Err(self.report(node.offset, format!("reserved identifier: {name}")));
        }
        let dot = if self.token(node, &[Kind::Dot]).is_some() { "." } else { "" };
        Ok((token, format!("{dot}{name}")))
    }

    fn ident(&mut self, node: &Node) -> Result<Expr, Halt> {
        match self.leading_name(node) {
            Ok((token, name)) => Ok(self.expr(token.start, ExprKind::Ident(name.into()))),
            Err(reported) => Ok(reported),
        }
    }

    fn global_call(&mut self, node: &Node) -> Result<Expr, Halt> {
        let (_, name) = match self.leading_name(node) {
            Ok(name) => name,
            Err(reported) => return Ok(reported),
        };
        let offset = self.token(node, &[Kind::LeftParenthesis]).map_or(node.offset, |token| token.start);
        let arguments = self.arguments(node)?;
        expand(self, offset, &name, None, arguments)
    }

    fn list(&mut self, node: &Node) -> Result<Expr, Halt> {
        let tree = self.tree;
        let mut elements = Vec::new();
        if let Some(list) = self.child(node, Rule::ListInit, 0) {
            for element in children(tree, &tree.nodes[list], Rule::OptExpr) {
                let (optional, value) = self.optional_expr(element)?;
                elements.push(Element { optional, value });
            }
        }
        Ok(self.expr(node.offset, ExprKind::List(elements)))
    }

    fn optional_expr(&mut self, at: usize) -> Result<(bool, Expr), Halt> {
        let node = &self.tree.nodes[at];
        let value = self.optional(self.child(node, Rule::Expr, 0), node.offset)?;
        Ok((self.token(node, &[Kind::Question]).is_some(), value))
    }

    fn map(&mut self, node: &Node) -> Result<Expr, Halt> {
        let tree = self.tree;
        let mut entries = Vec::new();
        if let Some(list) = self.child(node, Rule::MapInit, 0) {
            let list = &tree.nodes[list];
            let pairs = children(tree, list, Rule::OptExpr).zip(children(tree, list, Rule::Expr));
            for (key, value) in pairs {
                let id = self.id();
                let (optional, key) = self.optional_expr(key)?;
                let value = self.visit(value)?;
                entries.push(Entry { id, optional, key, value });
            }
        }
        Ok(self.expr(node.offset, ExprKind::Map(entries)))
    }

    fn object(&mut self, node: &Node) -> Result<Expr, Halt> {
        let tree = self.tree;
        let names: Vec<String> =
            self.tokens(node, &[Kind::Identifier]).into_iter().map(|token| self.text(token)).collect();
        // One dot more than between the names: the first leads.
        let leading = self.tokens(node, &[Kind::Dot]).len() >= names.len().max(1);
        let type_name = format!("{}{}", if leading { "." } else { "" }, names.join("."));
        let offset = self.token(node, &[Kind::LeftBrace]).map_or(node.offset, |token| token.start);
        let mut fields = Vec::new();
        if let Some(list) = self.child(node, Rule::FieldInit, 0) {
            let list = &tree.nodes[list];
            let pairs = children(tree, list, Rule::OptField).zip(children(tree, list, Rule::Expr));
            let colons = self.tokens(list, &[Kind::Colon]);
            for ((field, value), colon) in pairs.zip(colons) {
                let id = self.id();
                let field = &tree.nodes[field];
                let optional = self.token(field, &[Kind::Question]).is_some();
                let Some(name) = self.name(self.child(field, Rule::Name, 0), Some(list.offset)) else {
                    continue;
                };
                let value = self.visit(value)?;
                fields.push(Field { id, offset: colon.start, optional, name, value });
            }
        }
        Ok(self.expr(offset, ExprKind::Struct(Box::new(Struct { type_name: type_name.into(), fields }))))
    }

    fn literal(&mut self, node: &Node) -> Expr {
        let kinds = [
            Kind::Int,
            Kind::Uint,
            Kind::Float,
            Kind::String,
            Kind::Bytes,
            Kind::True,
            Kind::False,
            Kind::Null,
        ];
        let Some(token) = self.token(node, &kinds) else { return self.nothing(node.offset) };
        let text = self.text(token);
        let negative = self.token(node, &[Kind::Minus]).is_some();
        let value = match token.kind {
            Kind::Int => literals::int(negative, &text),
            Kind::Uint => literals::uint(&text),
            Kind::Float => literals::double(negative, &text),
            Kind::String => literals::string(&text),
            Kind::Bytes => literals::bytes(&text),
            Kind::True => Ok(Literal::Bool(true)),
            Kind::False => Ok(Literal::Bool(false)),
            _ => Ok(Literal::Null),
        };
        match value {
            Ok(literal) => self.expr(node.offset, ExprKind::Literal(literal)),
            Err(message) => self.report(node.offset, message),
        }
    }
}

fn children<'a>(tree: &'a Tree, node: &'a Node, rule: Rule) -> impl Iterator<Item = usize> + 'a {
    node.children.iter().filter_map(move |child| match child {
        Child::Node(at) if tree.nodes[*at].rule == rule => Some(*at),
        _ => None,
    })
}

fn binary_function(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Equals => functions::EQUALS,
        Kind::NotEquals => functions::NOT_EQUALS,
        Kind::In => functions::IN,
        Kind::Less => functions::LESS,
        Kind::LessEquals => functions::LESS_EQUALS,
        Kind::GreaterEquals => functions::GREATER_EQUALS,
        Kind::Greater => functions::GREATER,
        Kind::Minus => functions::SUBTRACT,
        Kind::Plus => functions::ADD,
        Kind::Star => functions::MULTIPLY,
        Kind::Slash => functions::DIVIDE,
        Kind::Percent => functions::MODULO,
        _ => return None,
    })
}
