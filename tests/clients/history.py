"""The official Python client while the service is killed: writers, watchers, then a look at what everybody saw.

Says "written" after every so many acknowledged writes: the test kills the service then. Ends when its input does.
"""

import random
import sys
import threading
import time
from collections import Counter

import urllib3
from kubernetes import client, config, watch

WRITERS, WATCHERS, NAMES, PACE = 3, 2, 8, 40
LAST, SELECTOR, NAMESPACE = "z-last", "history=yes", "default"

config.load_kube_config()
api = client.CoreV1Api()
stop = threading.Event()
lock = threading.Lock()
puts = {}  # revision -> (name, value)
deletes = Counter()


def body(name, value):
    return {"metadata": {"name": name, "labels": {"history": "yes"}}, "data": {"value": value}}


def acknowledged(put=None, deleted=None):
    with lock:
        if put:
            puts[int(put.metadata.resource_version)] = (put.metadata.name, put.data["value"])
        else:
            deletes[deleted] += 1
        if (len(puts) + deletes.total()) % PACE == 0:
            print("written", flush=True)


def write(writer):
    chance = random.Random(writer)
    turn = 0
    while not stop.is_set():
        turn += 1
        name, value = f"n{chance.randrange(NAMES)}", f"w{writer}-{turn}"
        try:
            match chance.randrange(5):
                case 0:
                    api.delete_namespaced_config_map(name, NAMESPACE)
                    acknowledged(deleted=name)
                case 1 | 2:
                    acknowledged(api.create_namespaced_config_map(NAMESPACE, body(name, value)))
                case _:
                    change = {"data": {"value": value}}
                    acknowledged(api.patch_namespaced_config_map(name, NAMESPACE, change))
        except client.ApiException as refusal:
            # Somebody else was faster, or the cluster is still starting.
            assert refusal.status in (404, 409, 429, 503), refusal
        except urllib3.exceptions.HTTPError:
            time.sleep(0.05)


class Seen:
    """What one watcher saw: what was there when it began, and every event since."""

    def __init__(self):
        listed = api.list_namespaced_config_map(NAMESPACE, label_selector=SELECTOR)
        self.start = int(listed.metadata.resource_version)
        self.objects = {item.metadata.name: item.data["value"] for item in listed.items}
        self.events, self.interruptions = [], 0

    def follow(self):
        # The client resumes by itself when a connection ends; when one breaks, from where it had got to.
        watcher = watch.Watch()
        version = str(self.start)
        while True:
            try:
                for event in watcher.stream(
                    api.list_namespaced_config_map,
                    NAMESPACE,
                    label_selector=SELECTOR,
                    resource_version=watcher.resource_version or version,
                ):
                    found = event["object"]
                    revision = int(found.metadata.resource_version)
                    self.events.append((revision, event["type"], found.metadata.name, found.data["value"]))
                    if found.metadata.name == LAST:
                        return
            except urllib3.exceptions.HTTPError:
                self.interruptions += 1
                time.sleep(0.05)
            except client.ApiException as refusal:
                assert refusal.status in (429, 503), refusal

    def check(self):
        """Events follow from each other, and every acknowledged write is among them; answers where they lead."""
        objects, last = dict(self.objects), self.start
        for revision, kind, name, value in self.events:
            assert revision > last, f"{name} at {revision} after {last}"
            last = revision
            assert (name not in objects) == (kind == "ADDED"), f"{kind} of {name} at {revision}"
            if kind == "DELETED":
                del objects[name]
            else:
                objects[name] = value
        by_revision = {revision: (name, value) for revision, _, name, value in self.events}
        for revision, put in puts.items():
            assert revision <= self.start or by_revision.get(revision) == put, f"lost: {put} at {revision}"
        seen = Counter(name for _, kind, name, _ in self.events if kind == "DELETED")
        assert deletes <= seen, f"deletions acknowledged {deletes}, seen {seen}"
        return objects


def main():
    seen = [Seen() for _ in range(WATCHERS)]
    watchers = [threading.Thread(target=one.follow) for one in seen]
    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in watchers + writers:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in writers:
        thread.join()
    api.create_namespaced_config_map(NAMESPACE, body(LAST, ""))
    for thread in watchers:
        thread.join()
    listed = api.list_namespaced_config_map(NAMESPACE, label_selector=SELECTOR)
    there = {item.metadata.name: item.data["value"] for item in listed.items}
    for one in seen:
        assert one.interruptions > 0, "the watch was never interrupted"
        assert one.events == seen[0].events, "two watchers saw different histories"
        assert one.check() == there, "the events lead elsewhere"
    print(f"{len(puts)} writes, {len(seen[0].events)} events", flush=True)


main()
