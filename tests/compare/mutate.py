#!/usr/bin/env python3
"""Writes mutants of recorded conversations, to be recorded with upstream and replayed against Drydock.

    mutate.py --cases ../shared/fidelity/cases --openapi ../shared/reference/openapi-v2.json.gz \
              --seed 7 --count 500 --out /tmp/mutants [--only 'controllers/*']

A mutant is one of the given cases with one to three changes: a field of a body changed, taken away, repeated, taken
from another case's body of the same kind or made up by its OpenAPI schema; a parameter, media type or verb of a request;
an option of kubectl. The same seed gives the same mutants. What `until` waits for may never come: record and replay
with a short `--within`.
"""
import argparse
import copy
import fnmatch
import gzip
import json
import os
import random
import re

import yaml

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
STRINGS = ["", "a", "A_b", "x" * 64, "none", "10m", "1Gi", "-1", "0", "50%", "True", "app", "web", "a/b", "a.b", "é", "*", " ", "100Mi",
           "Always", "Never", "2030-01-01T00:00:00Z", "10.0.0.1", "https", "default", "${ns}"]
NUMBERS = [0, 1, -1, 2, 3, 5, 10, 80, 100, 8080, 65536, 2147483648, 9007199254740993]
PARAMETERS = ["dryRun=All", "fieldValidation=Strict", "fieldValidation=Ignore", "fieldManager=other", "force=true", "limit=1", "limit=2",
              "labelSelector=app%3Dweb", "labelSelector=a%20in%20(b)", "labelSelector=%21app", "fieldSelector=metadata.name%3Dweb",
              "fieldSelector=metadata.namespace%21%3Dx", "resourceVersion=0", "resourceVersion=1", "resourceVersionMatch=Exact",
              "resourceVersion=0&resourceVersionMatch=NotOlderThan", "pretty=true", "propagationPolicy=Foreground",
              "propagationPolicy=Orphan", "gracePeriodSeconds=0", "gracePeriodSeconds=-1", "includeObject=Object", "timeoutSeconds=1",
              "dryRun=x", "limit=x", "sendInitialEvents=true", "watch=true&timeoutSeconds=1", "unknown=1", "allowWatchBookmarks=true&watch=1&timeoutSeconds=1"]
ACCEPTS = ["application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json",
           "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json", "application/yaml", "*/*", "text/plain",
           "application/json;as=Table;v=v1beta1;g=meta.k8s.io", "application/*"]
PATCHES = ["application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml"]
OUTPUTS = ["yaml", "json", "name", "wide", "jsonpath={.metadata}", "custom-columns=N:.metadata.name,G:.metadata.generation",
           "jsonpath={.items[*].metadata.name}", "jsonpath={.status}", "jsonpath={.spec}"]
FLAGS = {
    "get": ["--show-labels", "--no-headers", "--show-kind", "--ignore-not-found", "-L=app", "--sort-by=.metadata.name", "-A", "--show-managed-fields=true",
            "--chunk-size=1", "--field-selector=metadata.name=web", "-l=app=web", "--output-watch-events"],
    "create": ["--dry-run=server", "--dry-run=client", "--save-config", "--validate=false", "--validate=warn", "-o=yaml", "-o=json", "-o=name", "--field-manager=me"],
    "apply": ["--dry-run=server", "--server-side", "--server-side=true", "--force-conflicts", "--validate=false", "-o=yaml", "--field-manager=me", "--overwrite=false",
              "--force", "--dry-run=client"],
    "patch": ["--type=merge", "--type=json", "--type=strategic", "--dry-run=server", "-o=yaml", "--subresource=status", "--subresource=scale", "--local"],
    "delete": ["--ignore-not-found", "--wait=false", "--cascade=orphan", "--cascade=foreground", "--now", "--dry-run=server", "--force", "--all", "-o=name",
               "--grace-period=0"],
    "rollout": ["--revision=1", "--to-revision=1", "--timeout=1s", "--watch=false", "--dry-run=server"],
    "describe": ["--show-events=false"],
    "set": ["--dry-run=server", "-o=yaml", "--all", "--local"],
    "scale": ["--current-replicas=1", "--replicas=5", "--replicas=0", "--dry-run=server", "-o=yaml", "--timeout=1s"],
    "run": ["--dry-run=server", "--labels=a=b", "--env=A=b", "--port=80", "--restart=Never", "--expose", "--overrides={\"spec\":{\"hostNetwork\":true}}",
            "--privileged", "-o=yaml", "--image-pull-policy=Never"],
    "label": ["--overwrite", "--list", "--all", "--dry-run=server", "-o=yaml", "a=b", "a-"],
    "annotate": ["--overwrite", "--list", "--all", "--dry-run=server", "-o=yaml", "a=b", "a-"],
    "replace": ["--force", "--dry-run=server", "--save-config", "-o=yaml", "--subresource=status"],
    "autoscale": ["--min=1", "--max=0", "--cpu=50%", "--dry-run=server", "-o=yaml", "--name=other"],
    "expose": ["--port=80", "--type=NodePort", "--target-port=x", "--dry-run=server", "-o=yaml", "--name=other", "--type=LoadBalancer", "--cluster-ip=None"],
}


class Pool:
    """What stands where in all the bodies there are."""

    def __init__(self):
        self.values, self.bodies = {}, []

    def add(self, body):
        if isinstance(body, dict) and "kind" in body:
            self.bodies.append(body)
            self.walk(body, ())

    def walk(self, node, path):
        if isinstance(node, dict):
            for key, value in node.items():
                self.values.setdefault(context(path), {}).setdefault(str(key), []).append(value)
                self.walk(value, path + (str(key),))
        elif isinstance(node, list):
            for value in node:
                self.values.setdefault(context(path), {}).setdefault("[]", []).append(value)
                self.walk(value, path)


def context(path):
    return path[-2:]


class Schemas:
    """The OpenAPI document, as far as one walks down from a kind."""

    def __init__(self, file):
        self.definitions = json.load(gzip.open(file))["definitions"] if file else {}
        self.kinds = {}
        for schema in self.definitions.values():
            for gvk in schema.get("x-kubernetes-group-version-kind", []):
                self.kinds[(gvk["group"], gvk["version"], gvk["kind"])] = schema

    def resolve(self, schema):
        while schema and "$ref" in schema:
            schema = self.definitions.get(schema["$ref"].rpartition("/")[2])
        return schema or {}

    def of(self, body):
        group, _, version = str(body.get("apiVersion", "")).rpartition("/")
        return self.resolve(self.kinds.get((group, version, body.get("kind"))))

    def step(self, schema, key):
        schema = self.resolve(schema)
        if isinstance(key, int):
            return self.resolve(schema.get("items"))
        return self.resolve((schema.get("properties") or {}).get(key) or schema.get("additionalProperties"))

    def make(self, rng, schema, depth=0):
        schema = self.resolve(schema)
        kind = schema.get("type")
        if kind == "integer":
            return rng.choice(NUMBERS)
        if kind == "boolean":
            return rng.random() < 0.5
        if kind == "array":
            return [self.make(rng, schema.get("items"), depth + 1) for _ in range(rng.choice([0, 1, 1, 2]))]
        if kind == "object" or "properties" in schema:
            properties = schema.get("properties")
            if not properties:
                return {rng.choice(["a", "app", "x/y"]): self.make(rng, schema.get("additionalProperties") or {"type": "string"}, depth + 1)}
            some = set(schema.get("required", [])) | set(rng.sample(sorted(properties), min(len(properties), rng.choice([0, 1, 2]))))
            return {key: self.make(rng, properties[key], depth + 1) for key in sorted(some) if depth < 6}
        if schema.get("format") == "int-or-string":
            return rng.choice(["50%", 1, "http", 0])
        return rng.choice(STRINGS)


def places(node, path=()):
    """Every container below (and with) node, with its path."""
    if isinstance(node, (dict, list)):
        yield path, node
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(value, path + (key,))


def change_scalar(rng, value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return rng.choice(NUMBERS + [value + 1, value - 1, value * 10, str(value)])
    if isinstance(value, str):
        return rng.choice(STRINGS + [value + "x", value.upper(), value + "-", "." + value, None, 1, [value]])
    return rng.choice(["", 0, {}, []])


def mutate_body(rng, body, pool, schemas):
    """Changes one thing somewhere in body, in place."""
    if isinstance(body, list):
        if not body:
            return
        target = rng.randrange(len(body))
        if isinstance(body[target], dict) and rng.random() < 0.8:
            return mutate_body(rng, body[target], pool, schemas)
    spots = [(path, node) for path, node in places(body) if node]
    if not spots:
        return
    path, node = rng.choice(spots)
    named = tuple(str(key) for key in path if not isinstance(key, int))
    what = rng.random()
    if isinstance(node, dict):
        known = pool.values.get(context(named), {})
        key = rng.choice(sorted(node, key=str))
        if what < 0.15:
            del node[key]
        elif what < 0.40 and known:
            other = rng.choice(sorted(known))
            if other != "[]":
                node[other] = copy.deepcopy(rng.choice(known[other]))
        elif what < 0.70:
            schema = schemas.of(body)
            for part in path:
                schema = schemas.step(schema, part)
            properties = schemas.resolve(schema).get("properties")
            if properties:
                other = rng.choice(sorted(properties))
                node[other] = schemas.make(rng, properties[other])
        elif what < 0.73:
            node[rng.choice(["unknown", "Spec", "é", str(key).upper()])] = rng.choice(STRINGS)
        elif what < 0.76:
            node[key] = None
        elif not isinstance(node[key], (dict, list)):
            node[key] = change_scalar(rng, node[key])
        elif isinstance(node[key], list) and node[key]:
            node[key].append(copy.deepcopy(rng.choice(node[key])))
    else:
        index = rng.randrange(len(node))
        if what < 0.3:
            del node[index]
        elif what < 0.6:
            known = pool.values.get(context(named), {}).get("[]")
            if known:
                node.insert(index, copy.deepcopy(rng.choice(known)))
        elif what < 0.8:
            node.append(copy.deepcopy(node[index]))
        elif not isinstance(node[index], (dict, list)):
            node[index] = change_scalar(rng, node[index])
        else:
            node.reverse()


def mutate_text(rng, text, pool, schemas):
    """The same, of YAML or JSON text; other text stays."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError:
        return text
    bodies = [document for document in documents if isinstance(document, (dict, list))]
    if not bodies:
        return text
    mutate_body(rng, rng.choice(bodies), pool, schemas)
    return "---\n".join(json.dumps(document) + "\n" for document in documents)


def mutate_kubectl(rng, step, pool, schemas):
    arguments = step["kubectl"]
    texts = [("files", name) for name in step.get("files") or {}] + ([("stdin", None)] if step.get("stdin") is not None else [])
    if texts and rng.random() < 0.6:
        where, name = rng.choice(texts)
        if where == "files":
            step["files"][name] = mutate_text(rng, step["files"][name], pool, schemas)
        elif isinstance(step["stdin"], str):
            step["stdin"] = mutate_text(rng, step["stdin"], pool, schemas)
        else:
            mutate_body(rng, step["stdin"], pool, schemas)
        return
    words = [word for word in arguments if isinstance(word, str)]
    verb = next((word for word in words if word in FLAGS), None)
    patch = next((i for i, word in enumerate(words) if word in ("-p", "--patch")), None)
    if patch is not None and rng.random() < 0.6 and patch + 1 < len(words):
        i = arguments.index(words[patch + 1])
        arguments[i] = mutate_text(rng, arguments[i], pool, schemas).strip()
    elif "-o" in arguments and rng.random() < 0.5:
        arguments[arguments.index("-o") + 1] = rng.choice(OUTPUTS)
    elif verb == "get" and "-o" not in arguments and rng.random() < 0.4:
        arguments += ["-o", rng.choice(OUTPUTS)]
    elif verb and rng.random() < 0.8:
        flag = rng.choice(FLAGS[verb])
        if "--" in arguments:
            arguments.insert(arguments.index("--"), flag)
        else:
            arguments.append(flag)
    elif len(arguments) > 3:
        i = rng.randrange(2, len(arguments))
        if rng.random() < 0.5:
            del arguments[i]
        elif isinstance(arguments[i], str):
            arguments[i] = re.sub(r"\d+", lambda m: str(rng.choice([0, 1, 2, 7])), arguments[i])


def mutate_request(rng, step, verb, pool, schemas):
    method, path = verb.split(" ", 1)
    body = step.get("body")
    what = rng.random()
    if body and what < 0.75:
        if isinstance(body, str):
            step["body"] = mutate_text(rng, body, pool, schemas)
        else:
            mutate_body(rng, body, pool, schemas)
        return
    if what < 0.87:
        path += ("&" if "?" in path else "?") + rng.choice(PARAMETERS)
    elif what < 0.93:
        step.setdefault("headers", {})
        step["headers"] = dict(step["headers"] or {}, Accept=rng.choice(ACCEPTS))
    elif method == "PATCH":
        step["headers"] = dict(step.get("headers") or {}, **{"Content-Type": rng.choice(PATCHES)})
    else:
        base, mark, query = path.partition("?")
        if rng.random() < 0.5:
            base += rng.choice(["/status", "/scale", "/"])
        else:
            method = rng.choice(METHODS)
        path = base + mark + query
    if f"{method} {path}" != verb:
        step[f"{method} {path}"] = step.pop(verb)


def mutate(rng, case, pool, schemas):
    steps = case["steps"]
    waits = any("until" in step for step in steps)
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3])):
        index = rng.randrange(len(steps))
        # Steps that say something change more often than those that look.
        for _ in range(3):
            if {"body", "stdin", "files"} & set(steps[index]):
                break
            index = rng.randrange(len(steps))
        step = steps[index]
        verb = next((key for key in step if key.split(" ")[0] in METHODS), None)
        if rng.random() < 0.06:
            if len(steps) > 1:
                steps.insert(rng.randrange(len(steps)), copy.deepcopy(step)) if rng.random() < 0.5 else steps.pop(index)
        elif "kubectl" in step:
            mutate_kubectl(rng, step, pool, schemas)
        elif verb:
            mutate_request(rng, step, verb, pool, schemas)
    for step in steps:
        # Mutants look at all of an answer, but where controllers are at work, which takes them some time.
        for key in ("status-only", "only"):
            if not waits and rng.random() < 0.7:
                step.pop(key, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", required=True)
    parser.add_argument("--openapi")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--only", default="*")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(options.cases) for name in names if name.endswith(".yaml"))
    cases = {os.path.relpath(file, options.cases)[:-5]: yaml.safe_load(open(file)) for file in files}
    pool, schemas = Pool(), Schemas(options.openapi)
    for case in cases.values():
        for step in case["steps"]:
            if isinstance(step.get("body"), dict):
                pool.add(step["body"])
            for text in [step.get("stdin"), *(step.get("files") or {}).values()]:
                try:
                    for document in yaml.safe_load_all(text) if isinstance(text, str) else [text]:
                        pool.add(document)
                except yaml.YAMLError:
                    pass
    names = [name for name in cases if fnmatch.fnmatch(name, options.only)]
    for number in range(options.count):
        rng = random.Random(f"{options.seed}/{number}")
        name = rng.choice(names)
        case = copy.deepcopy(cases[name])
        mutate(rng, case, pool, schemas)
        file = os.path.join(options.out, f"{name}-{options.seed}-{number}.yaml")
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w") as out:
            yaml.safe_dump(case, out, sort_keys=False, allow_unicode=True, width=10000)


if __name__ == "__main__":
    main()
