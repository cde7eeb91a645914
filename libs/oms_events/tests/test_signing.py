"""What is signed, byte by byte."""

import httpx
import pytest

from oms_events.signing import SignedAuth, sign


# Made with openssl: printf 'TS\nMETHOD\nTARGET\nHASH' | openssl dgst -sha256 -hmac SECRET
@pytest.mark.parametrize(
    ("method", "target", "body", "expected"),
    [
        ("POST", "/v1/orders", b'{"a":1}', "v1=c5395d7962dc41230f5af617156a941f79fd87b980ebc1e64202ef7476091704"),
        (
            "GET",
            "/v1/orders?channel=uci&shop=uk",
            b"",
            "v1=754736d5e1ec593a947e3a4f5297f64bfb50ca6bb87ff63162ca36769f10a063",
        ),
        (
            "GET",
            "/v1/skus/caf%C3%A9%2F1?q=a%20b",
            b"",
            "v1=ea95b54fa63e97484d57a370401f6eda664b5735f14279c379b7d18908e6c68b",
        ),
    ],
)
def test_golden_vectors(method: str, target: str, body: bytes, expected: str) -> None:
    assert sign("topsecret", 1767225600, method, target, body) == expected


def test_every_part_counts() -> None:
    one = sign("s", 1, "POST", "/v1/orders", b"{}")
    others = {
        sign("t", 1, "POST", "/v1/orders", b"{}"),
        sign("s", 2, "POST", "/v1/orders", b"{}"),
        sign("s", 1, "PUT", "/v1/orders", b"{}"),
        sign("s", 1, "POST", "/v1/orders?x=1", b"{}"),
        sign("s", 1, "POST", "/v1/orders", b"{} "),
    }
    assert len(others) == 5
    assert one not in others


def test_an_empty_query_is_no_query() -> None:
    assert sign("s", 1, "GET", "/v1/orders?", b"") == sign("s", 1, "GET", "/v1/orders", b"")


def test_the_client_signs_the_target_as_it_goes_over_the_wire() -> None:
    auth = SignedAuth("omk_1", "topsecret", clock=lambda: 1767225600.9)
    request = httpx.Request("GET", "http://h/v1/skus/a%2Fb c", params={"q": "ü&x", "cursor": "="})
    signed = next(auth.auth_flow(request))
    target = request.url.raw_path.decode()
    assert "%2F" in target
    assert "%C3%BC%26x" in target
    assert signed.headers["x-oms-timestamp"] == "1767225600"
    assert signed.headers["x-oms-signature"] == sign("topsecret", 1767225600, "GET", target, b"")
