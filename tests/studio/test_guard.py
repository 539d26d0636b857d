"""The door: every route and method, asked from outside in eight ways, is refused; the page itself gets through."""

import asyncio

import pytest

pytest.importorskip("fastapi")

from starlette.websockets import WebSocketDisconnect

from convscope.studio.app import build_app
from convscope.studio.places import Places
from studio.made import HOST, TOKEN, client_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
OWN = {"x-convscope": "1", "content-type": "application/json"}
WITHOUT, WRONG = {"cookie": ""}, {"cookie": "convscope=guessed"}
HOSTILE = {
    "no token": WITHOUT,
    "wrong token": WRONG,
    "foreign origin": {"origin": "https://evil.example"},
    "null origin": {"origin": "null"},
    "foreign host": {"host": "evil.example:8123"},
    "cross-site": {"sec-fetch-site": "cross-site"},
    "a form": {"content-type": "application/x-www-form-urlencoded"},
    "web socket": {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"},
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<!doctype html><title>studio</title>")
    places = Places([], tmp_path_factory.mktemp("runs"))
    return build_app(places, token=TOKEN, hosts=[HOST], page=folder)


def paths(app):
    """One address for each route, from the application itself."""
    found = []

    def walk(routes, prefix=""):
        for route in routes:
            inner = getattr(route, "routes", None)
            router = getattr(route, "original_router", None)
            if inner is None and router is not None:
                inner = router.routes
            if inner:
                context = getattr(route, "include_context", None)  # FastAPI keeps the prefix of a router there
                walk(inner, prefix + (context.prefix if context is not None else getattr(route, "path", "")))
            else:
                path = prefix + getattr(route, "path", "")
                found.append(path.replace("{id}", "abc").replace("{name}", "abc") or "/")

    walk(app.routes)
    return [*sorted(set(found)), "/nowhere", "/index.html"]


async def ask(app, method, path, headers):
    """The status of one request, straight to the application: thousands take a second."""
    told = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        told.append(message)

    plain, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": plain, "raw_path": plain.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()], "client": ("127.0.0.1", 5), "server": None,
    }  # fmt: skip
    await app(scope, receive, send)
    return told[0]["status"]


def test_the_application_has_routes_to_guard(app):
    found = paths(app)
    assert (
        len(found) >= 36
        and {"/api/runs/abc/views/abc/drop", "/api/decisions/abc", "/api/dream"} <= set(found)
        and any(p.endswith("/maps") for p in found)
        and "/" in found
    )


def test_every_route_and_method_refuses_eight_hostile_requests(app):
    cookie = f"convscope={client_of(app).cookies['convscope']}"

    async def all_of_them():
        asked, let_in = 0, []
        for path in paths(app):
            for method in METHODS:
                for name, headers in HOSTILE.items():
                    status = await ask(app, method, path, {"host": HOST, "cookie": cookie, **OWN, **headers})
                    asked += 1
                    if status not in (401, 403):
                        let_in.append((name, method, path, status))
        return asked, let_in

    asked, let_in = asyncio.run(all_of_them())
    assert let_in == []
    assert asked == len(paths(app)) * len(METHODS) * len(HOSTILE)


def test_web_sockets_are_refused(app):
    client = client_of(app)
    for path in paths(app):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"ws://{HOST}{path}"):
            pass


def test_the_same_requests_pass_from_the_page_itself(app):
    """Else the tests above could pass by refusing everything."""
    client = client_of(app)
    own = {"sec-fetch-site": "same-origin", "origin": f"http://{HOST}", **OWN}
    assert client.get("/api/places", headers=own).status_code == 200
    assert client.get("/").text.endswith("<title>studio</title>")
    answer = client.post("/api/runs", json={"data": "0" * 16, "name": "a"}, headers=own)
    assert answer.status_code == 404 and "convscope studio PATH" in answer.json()["error"]


def test_the_link_is_exchanged_for_a_cookie_that_scripts_cannot_read(app):
    client = client_of(app, enter=False)
    assert client.get("/").status_code == 401
    assert client.get("/?token=wrong").status_code == 401
    answer = client.get(f"/?token={TOKEN}")
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie and TOKEN not in cookie


def test_the_link_does_not_help_a_foreign_page_or_host(app):
    client = client_of(app, enter=False)
    for name in ("foreign origin", "null origin", "foreign host", "cross-site", "web socket"):
        assert client.get(f"/?token={TOKEN}", headers=HOSTILE[name]).status_code == 403, name


def test_the_token_opens_nothing_but_the_door(app):
    client = client_of(app, enter=False)
    assert client.get(f"/api/places?token={TOKEN}").status_code == 401


@pytest.mark.parametrize("missing", ["x-convscope", "content-type"])
def test_changing_something_needs_the_own_header_and_json(app, missing):
    client = client_of(app)
    headers = {k: v for k, v in OWN.items() if k != missing}
    assert client.post("/api/runs", content=b"{}", headers=headers).status_code == 403


def test_every_answer_carries_the_strict_headers(app):
    client = client_of(app)
    for answer in (client.get("/"), client.get("/api/places"), client.get("/nowhere"), client.get("/", headers=WRONG)):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';") and "unsafe" not in policy and "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_bodies_over_the_limit_are_refused(app):
    client = client_of(app)
    large = b" " * ((1 << 20) + 1)
    assert client.post("/api/runs", content=large, headers=OWN).status_code == 413
    upload = {**OWN, "content-type": "application/octet-stream"}
    assert client.post("/api/pictures", content=b"x" * ((24 << 20) + 1), headers=upload).status_code == 413
    chunked = client.post("/api/runs", content=iter([large[: 1 << 19]] * 3), headers=OWN)  # says no length
    assert chunked.status_code == 413


def test_the_page_is_served_before_keras_is_there():
    """The link is printed and the page answers while the back end, which takes seconds, is still away."""
    import subprocess
    import sys

    code = "import sys, convscope.studio.app; print([m for m in ('keras', 'tensorflow', 'jax') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
