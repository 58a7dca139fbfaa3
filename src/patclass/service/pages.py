"""The page at ``/docs``, from files that are part of an installed package: nothing is fetched."""

from importlib import resources

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from patclass.service.problems import Problem

_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}

# The page starts itself by a script in it; all else comes from here.
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)


def documentation_routes(title: str, openapi_url: str) -> APIRouter:
    """``/docs`` and its files."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url=openapi_url,
            title=title,
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="data:,",
        )
        page.headers["Content-Security-Policy"] = _POLICY
        return page

    @router.get("/docs/{name}")
    async def part(name: str) -> Response:
        if name not in _FILES:
            raise Problem(404, "not_found", f"docs/{name}: there is no such page")
        content = (resources.files("fastapi_swagger.resources") / name).read_bytes()
        return Response(content, media_type=_FILES[name])

    return router
