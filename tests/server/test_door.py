"""Who may come in: keys, logins, hosts and origins, on every path that we serve."""

from __future__ import annotations

import re
from http.client import HTTPConnection

import pytest
from tornado.web import RequestHandler

PAGE = "https://evil.example"


def our_paths(server) -> list[tuple[str, str]]:
    """Every path and method of ours, as the running application routes them."""
    found = []
    for rule in server.app.web_app.default_router.rules:
        for inner in getattr(rule.target, "rules", ()):
            if not inner.target.__module__.startswith("osaurus_nb_server"):
                continue
            pattern = re.sub(r"\((\w+)\|[\w|]+\)", r"\1", inner.matcher.regex.pattern.rstrip("$"))
            path = re.sub(r"\(\.\+\)|\.\*", "some/thing", pattern.replace("([^/]+)", "thing")).replace("/?", "")
            path = path.replace("\\", "").removeprefix(server.path)
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"):
                implemented = getattr(inner.target, method.lower()) is not RequestHandler._unimplemented_method
                found.append((method, path)) if implemented or method in ("GET", "POST") else None
    return found


def open_to_all(method: str, path: str) -> bool:
    return (method, path) in {("HEAD", ""), ("GET", ""), ("GET", "/health")}


def test_every_path_refuses_an_anonymous_caller(server):
    """Without a key there is a 401 in the path's dialect, whatever the path; the probes tell only that we are here."""
    paths = our_paths(server)

    assert len(paths) >= 10
    for method, path in paths:
        if open_to_all(method, path):
            continue
        if path == "" or (path == "/health" and method == "POST"):
            continue  # they do not exist, which is said to anybody
        answer = server.ask(method, path, key=None)
        assert answer.status == 401, (method, path)
        if method != "HEAD":
            assert answer.json["error"]
            assert b"invalid_api_key" in answer.body.lower()
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_every_path_refuses_a_key_without_its_scope(server):
    """A key that opens nothing is a 403 on every path that anybody may not enter, the administration's among them."""
    bare, _ = server.service.keys.issue("bare", scopes=set(), expires_in=None)
    paths = [row for row in our_paths(server) if row[1] not in ("", "/health")]

    assert ("PUT", "/admin/providers/thing/key") in paths
    assert ("POST", "/admin/providers/thing/enable") in paths
    for method, path in paths:
        assert server.ask(method, path, key=bare).status == 403, (method, path)


def test_the_two_probes_tell_nothing(server):
    """Anybody may learn that the server is well; the details need a key."""
    anonymous = server.ask("GET", "/health", key=None)
    known = server.ask("GET", "/health")

    assert server.ask("HEAD", "", key=None).status == 200
    assert anonymous.json == {"status": "ok"}
    assert known.json["models"] == 1
    assert {"providers", "workers", "uptime", "versions"} <= known.json.keys()


def test_every_path_refuses_a_foreign_host(server):
    """A name that is not ours means that somebody's DNS points a browser at us."""
    for method, path in our_paths(server):
        answer = server.ask(method, path, headers={"Host": "evil.example"})
        assert answer.status == 403, (method, path)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:8888"])
def test_our_own_names_pass(server, host):
    """Loopback by name or number is us."""
    assert server.ask("GET", "/v1/models", headers={"Host": host}).status == 200


def test_every_path_refuses_a_foreign_origin(server):
    """A page of another site is refused even with a key, and is never told that it may read."""
    for method, path in our_paths(server):
        answer = server.ask(method, path, headers={"Origin": PAGE})
        assert answer.status == 403, (method, path)
        assert "access-control-allow-origin" not in answer.headers


def test_our_own_origin_passes(server):
    """A page of this very server may ask."""
    assert server.ask("GET", "/v1/models", headers={"Origin": f"http://127.0.0.1:{server.port}"}).status == 200


def test_an_allowed_origin_gets_its_preflight_and_its_answer(serve):
    """What the server's owner allowed may send the headers that SDKs send; it is named, never `*`."""
    asks = {"Origin": PAGE, "Access-Control-Request-Headers": "authorization, content-type, x-stainless-lang"}

    with serve(config={"ServerApp": {"allow_origin": PAGE}}) as server:
        preflight = server.ask("OPTIONS", "/v1/chat/completions", headers=asks, key=None)
        answer = server.ask("GET", "/v1/models", headers={"Origin": PAGE})
        refused = server.ask("GET", "/v1/models", headers={"Origin": PAGE}, key=None)

    assert preflight.status == 204
    assert preflight.headers["access-control-allow-headers"] == asks["Access-Control-Request-Headers"]
    assert [a.headers["access-control-allow-origin"] for a in (preflight, answer, refused)] == [PAGE] * 3
    assert refused.status == 401


def test_a_preflight_from_elsewhere_allows_nothing(server):
    """Without a word from the owner a browser learns that it may not."""
    answer = server.ask("OPTIONS", "/v1/chat/completions", headers={"Origin": PAGE}, key=None)

    assert answer.status == 403
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    "style", ["Bearer {}", "bearer {}", "token {}", "TOKEN  {}", "x-api-key", "x-goog-api-key", "query"]
)
@pytest.mark.parametrize("whose", ["ours", "jupyter"])
def test_every_style_of_key_opens(server, style, whose):
    """However a vendor's SDK sends it, with our key or with Jupyter's own token."""
    secret = server.key if whose == "ours" else server.token
    path, headers = "/v1/models", {}
    if style == "query":
        path += f"?token={secret}"
    elif style.startswith("x-"):
        headers = {style: secret, "Authorization": "Bearer something-else"}
    else:
        headers = {"Authorization": style.format(secret)}

    assert server.ask("GET", path, headers=headers, key=None).status == 200


@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Bearer ", "Basic eDp5", "Bearer \xff\xfe", "Bearer osk_live_' OR 1=1", "x" * 5000]
)
def test_a_wrong_key_is_a_401(server, header):
    """Not a 403, not a redirect, not a 500: SDKs raise their authentication error."""
    for method in ("GET", "POST"):
        path = "/v1/models" if method == "GET" else "/v1/chat/completions"
        answer = server.ask(method, path, headers={"Authorization": header}, key=None)

        assert answer.status == 401
        assert answer.json["error"]["type"] == "invalid_request_error"
        assert "set-cookie" not in answer.headers


def test_whoever_keeps_guessing_has_to_wait(server):
    """After twenty wrong keys an address is told when to try again; a valid key from there still opens."""
    answers = [server.ask("GET", "/v1/models", key="wrong") for _ in range(22)]

    assert answers[0].status == 401
    assert answers[-1].status == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert answers[-1].headers["x-should-retry"] == "false"
    assert server.ask("GET", "/v1/models").status == 200


def test_a_key_of_ours_opens_nothing_else_of_jupyter(server):
    """Not kernels, files, terminals or shutdown: it is no login, and leaves none behind."""
    for method, path in [
        ("GET", "//api/kernels"),
        ("POST", "//api/kernels"),
        ("GET", "//api/contents"),
        ("GET", "//api/terminals"),
        ("POST", "//api/terminals"),
        ("GET", "//api/sessions"),
        ("POST", "//api/shutdown"),
    ]:
        assert server.ask(method, path, json_body={}).status == 403, path
        assert server.ask(method, f"{path}?token={server.key}", json_body={}, key=None).status == 403, path
    assert server.ask("GET", "//api/kernels", key=server.token).status == 200
    assert "set-cookie" not in server.ask("GET", "/v1/models").headers


def test_a_key_opens_only_its_scopes(server):
    """A key for looking may not ask."""
    looks, _ = server.service.keys.issue("looks", scopes={"models"}, expires_in=None)
    body = {"model": "good", "messages": [{"role": "user", "content": "Hi."}]}

    assert server.ask("GET", "/v1/models", key=looks).status == 200
    assert server.ask("POST", "/v1/chat/completions", json_body=body, key=looks).status == 403
    assert server.ask("GET", "/health", key=looks).json == {"status": "ok"}


def test_a_browser_session_needs_its_xsrf_token(server):
    """A POST with the login cookie alone is refused: another site could make a browser send it."""
    cookies = login(server)
    body = b'{"model": "good", "messages": [{"role": "user", "content": "Hi."}]}'
    sent = {"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items()), "Content-Type": "application/json"}

    bare = server.ask("POST", "/v1/chat/completions", body=body, headers=sent, key=None)
    full = server.ask(
        "POST", "/v1/chat/completions", body=body, headers={**sent, "X-XSRFToken": cookies["_xsrf"]}, key=None
    )

    assert bare.status == 403
    assert bare.json["error"]["code"] == "permission_denied"
    assert full.status == 200


def login(server) -> dict[str, str]:
    """The cookies of a browser that opened the server with its token."""
    cookies = {}
    for path in ("/login", f"/api/me?token={server.token}"):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                cookies[key] = rest.partition(";")[0]
        connection.close()
    return cookies


def test_the_servers_authorizer_is_asked(serve):
    """A Jupyter user whom the server's own rules do not allow is refused."""
    from jupyter_server.auth import Authorizer

    class Nobody(Authorizer):
        def is_authorized(self, handler, user, action, resource):
            return resource != "osaurus"

    with serve(config={"ServerApp": {"authorizer_class": Nobody}}) as server:
        by_token = server.ask("GET", "/v1/models", key=server.token)
        by_key = server.ask("GET", "/v1/models")

    assert by_token.status == 403
    assert by_key.status == 200
