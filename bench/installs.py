"""Bring the runners to compare with onto this machine, each once, under .chatdb/bench; nothing is installed elsewhere.

From PyPI into a virtual environment of its own, by `go install`, by Maven, from Debian's packages unpacked. What comes
by Go or from Debian is taken from PATH where it is there already. Called by bench.peers.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence

from infra.products import PROJECT_ROOT
from tests.support import debian
from tests.support.majors import NotToBeHad

FOLDER = PROJECT_ROOT / ".chatdb" / "bench"


def by_pip(program: str, packages: Sequence[str]) -> str:
    """Return the path of a program that Python packages bring.

    Raises:
        NotToBeHad: pip cannot install them.
    """
    folder = FOLDER / "venv" / program
    path = folder / "bin" / program
    if not path.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages]
        if subprocess.run(pip, check=False, stdout=sys.stderr).returncode != 0 or not path.exists():
            raise NotToBeHad(f"pip cannot install {' '.join(packages)}")
    return str(path)


def by_go(program: str, package: str, *, tags: str = "") -> str:
    """Return the path of a program that `go install` builds.

    Raises:
        NotToBeHad: there is no go, or it cannot build the program.
    """
    if found := shutil.which(program):
        return found
    path = FOLDER / "go" / program
    if not path.exists():
        if shutil.which("go") is None:
            raise NotToBeHad(f"it would be built by go, which is not on this machine: go install {package}")
        command = ["go", "install", f"-tags={tags}", package]
        if subprocess.run(command, env={**os.environ, "GOBIN": str(path.parent)}, check=False).returncode != 0:
            raise NotToBeHad(f"go cannot install {package}")
    return str(path)


def by_apt_perl(program: str) -> str:
    """Return the path of a program that Debian's package of the same name brings, written in Perl.

    Raises:
        NotToBeHad: it is not installed, and cannot be fetched.
    """
    if found := shutil.which(program):
        return found
    folder = FOLDER / "debian" / program
    path = folder / program
    if not path.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        debian.fetch(program, folder, dependencies=True)
        root = folder / "unpacked" / "usr"
        libraries = next((root / "lib").glob("*-linux-gnu*"))
        modules = [root / "share" / "perl5", *(libraries / "perl5").glob("5.*")]
        path.write_text(
            f"#!/bin/sh\nPERL5LIB={':'.join(map(str, modules))} LD_LIBRARY_PATH={libraries} "
            f'exec perl -CAS {root / "bin" / program} "$@"\n',
            encoding="utf-8",
        )
        path.chmod(0o755)
    return str(path)


def by_maven(program: str, artifacts: Sequence[str], main: str, *, source: str = "") -> str:
    """Return the path of a script that starts a program on Java.

    Args:
        program: Its name.
        artifacts: What it needs, each as group:artifact:version; Maven finds what they need in turn.
        main: The class that is started.
        source: The text of that class where no artifact holds it; it is compiled here.

    Raises:
        NotToBeHad: there is no Java or no Maven, or it cannot fetch them.
    """
    tools = ("java", "mvn", *(["javac"] if source else []))
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        raise NotToBeHad(f"it needs java and mvn, and PATH holds no {' and no '.join(missing)}")
    pom = _POM.format(program=program, dependencies="".join(map(_dependency, artifacts)))
    # What is there stays while the same is asked for.
    folder = FOLDER / "java" / f"{program}-{hashlib.sha256((pom + source).encode()).hexdigest()[:12]}"
    path = folder / program
    if not path.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "pom.xml").write_text(pom, encoding="utf-8")
        steps = [["mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]]
        if source:
            (folder / f"{main}.java").write_text(source, encoding="utf-8")
            steps.append(["javac", "-cp", f"{folder}/*", "-d", str(folder), str(folder / f"{main}.java")])
        for step in steps:
            if subprocess.run(step, cwd=folder, check=False, stdout=sys.stderr).returncode != 0:
                raise NotToBeHad(f"{step[0]} cannot bring {' '.join(artifacts)}")
        path.write_text(f"#!/bin/sh\nexec java -cp '{folder}/*:{folder}' {main} \"$@\"\n", encoding="utf-8")
        path.chmod(0o755)
    return str(path)


_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>{program}</artifactId><version>1</version>
<dependencies>
{dependencies}</dependencies>
</project>
"""


def _dependency(artifact: str) -> str:
    group, name, version = artifact.split(":")
    return (
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version>"
        "<scope>runtime</scope></dependency>\n"
    )
