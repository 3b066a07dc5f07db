use super::*;

fn error(compiler: &Compiler, text: &str, scope: Scope, returns: Returns) -> String {
    compiler.compile(text, scope, returns).map(drop).unwrap_err().0
}

#[test]
fn an_expression_evaluates_to_what_it_should() {
    let (compiler, scope) = (Compiler::plain(KubernetesVersion::V1_36), Scope::condition(false));
    compiler.compile("object.x == 1", scope, Returns::Bool).unwrap();
    assert_eq!(error(&compiler, "1 + 1", scope, Returns::Bool), "must evaluate to bool but got int");
    assert_eq!(
        error(&compiler, "1", scope, Returns::StringOrNull),
        "must evaluate to one of [string null_type] but got int"
    );
    let patches = error(&compiler, "[]", Scope::mutation(false), Returns::Patches);
    assert_eq!(patches, "must evaluate to list(JSONPatch) but got list(dyn)");
}

#[test]
fn variables_have_the_types_they_turned_out_to_have() {
    let (mut compiler, scope) = (Compiler::composed(KubernetesVersion::V1_36), Scope::condition(false));
    compiler.declare("count", "1", scope).unwrap();
    compiler.declare("broken", "nobody", scope).unwrap_err();
    compiler.compile("variables.count > 0 && variables.broken", scope, Returns::Bool).unwrap();
    let why = error(&compiler, "variables.count == 'x'", scope, Returns::Bool);
    assert!(why.contains("found no matching overload for '_==_' applied to '(int, string)'"), "{why}");
    let why = error(&compiler, "variables.later", scope, Returns::Bool);
    assert!(why.contains("undefined field 'later'"), "{why}");
}

#[test]
fn what_a_scope_leaves_out_is_undeclared() {
    let compiler = Compiler::plain(KubernetesVersion::V1_36);
    let check = |text: &str, scope: Scope| error(&compiler, text, scope, Returns::Anything);
    assert!(check("params.x", Scope::condition(false)).contains("undeclared reference to 'params'"));
    assert!(check("authorizer.path('/')", Scope::message(true)).contains("undeclared reference"));
    assert!(check("Object{}", Scope::condition(true)).contains("undeclared reference to 'Object'"));
    compiler.compile("Object{spec: Object.spec{a: 1}}", Scope::mutation(false), Returns::Object).unwrap();
    compiler
        .compile("[JSONPatch{op: 'add', path: '/a', value: 1}]", Scope::mutation(false), Returns::Patches)
        .unwrap();
    compiler.compile("request.userInfo.groups[0] == request.name", Scope::default(), Returns::Bool).unwrap();
}
