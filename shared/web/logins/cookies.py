from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

SameSite = Literal["lax", "strict"]


@dataclass(frozen=True, slots=True)
class Cookie:
    name: str
    secure: bool
    same_site: SameSite

    @classmethod
    def at(cls, address: str, name: str, same_site: SameSite) -> "Cookie":
        """On https only this host can set a ``__Host-`` cookie."""
        secure = address.startswith("https://")
        return cls(f"__Host-{name}" if secure else name, secure, same_site)

    def read(self, request: Request) -> str:
        return request.cookies.get(self.name, "")

    def give(self, response: Response, value: str, lasts: timedelta) -> None:
        response.set_cookie(
            self.name,
            value,
            max_age=int(lasts.total_seconds()),
            path="/",
            secure=self.secure,
            httponly=True,
            samesite=self.same_site,
        )

    def take_back(self, response: Response) -> None:
        response.delete_cookie(
            self.name, path="/", secure=self.secure, httponly=True, samesite=self.same_site
        )
