"""deploy/kubernetes is valid, and starts what docker-compose.yml starts. The files are only read and built here."""

import copy
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest

from overlord.embedded.program import CADDYFILE
from overlord.settings import env
from tests import compose, kubernetes, settings_reader
from tests.compose import OURS
from tests.kubernetes import FOLDER, Document, all_documents

VERSIONS = ["1.30", "1.37"]  # the oldest and the newest that we check
OVERLAYS = ["overlays/production", "overlays/servers", "overlays/migrate"]
ANSWERING = {"web", "logins", "door", "live", "front"}
KUBECTL = shutil.which("kubectl")
DEPLOYMENTS = (*OURS, "front")


def of_base(kind: str) -> dict[str, Document]:
    return kubernetes.of("base", kind)


def container(name: str) -> Document:
    [found] = of_base("Deployment")[name]["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_each_document_is_valid(version: str) -> None:
    for document in all_documents():
        kubernetes.validate(document, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_refuse_what_is_wrong(version: str) -> None:
    wrong = copy.deepcopy(of_base("Deployment")["web"])
    wrong["spec"]["template"]["spec"]["containers"][0]["comand"] = ["python"]
    with pytest.raises(kubernetes_validate.ValidationError, match="comand"):
        kubernetes.validate(wrong, version)
    wrong = copy.deepcopy(kubernetes.of("overlays/servers", "Cluster")["postgres"])
    wrong["spec"]["postgresql"]["synchronous"]["durability"] = "required"
    with pytest.raises(jsonschema.ValidationError, match="durability"):
        kubernetes.validate(wrong, version)


@pytest.mark.slow
@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_overlay_is_built(overlay: str) -> None:
    argv = [str(KUBECTL), "kustomize", str(FOLDER / overlay)]
    built = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    made = compose.yaml_documents(built.stdout)
    for document in made:
        kubernetes.validate(document, VERSIONS[-1])
        assert document["metadata"]["namespace"] == "overlord"


@pytest.mark.parametrize("name", OURS)
def test_each_process_is_started_as_by_compose(name: str) -> None:
    ours, theirs = container(name), compose.services()[name]
    assert ours["command"] == compose.argv(theirs)
    assert ours["image"] == theirs["image"]
    given = {name: value for name, value in theirs["environment"].items() if name not in env.SECRETS}
    assert {each["name"]: each["value"] for each in ours["env"] if "value" in each} == given


@pytest.mark.parametrize("name", OURS)
def test_each_process_gets_the_secrets_that_it_reads_alone(name: str) -> None:
    pod = container(name)
    assert pod["envFrom"] == [{"configMapRef": {"name": "overlord"}}]
    given = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in pod["env"] if "valueFrom" in each}
    assert given.keys() == {secret for secret in env.SECRETS if name in env.READ_BY.get(secret, OURS)}
    for secret, of in given.items():
        must = secret in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "EMAIL_URL")
        assert of == {"name": "overlord", "key": secret, **({} if must else {"optional": True})}


def test_the_front_server_is_that_of_compose() -> None:
    ours, theirs = container("front"), compose.services({"DJANGO_PORT": "8080"})["caddy"]
    assert ours["image"] == theirs["image"]
    variables = {each["name"]: each.get("value") for each in ours["env"]}
    assert variables.keys() == theirs["environment"].keys()
    fixed = variables.keys() - {"OVERLORD_TRUSTED_PROXIES"}
    assert {name: variables[name] for name in fixed} == {name: theirs["environment"][name] for name in fixed}


def migration() -> Document:
    return dict(kubernetes.of("migrate", "Job")["migrate"]["spec"]["template"]["spec"])


def test_the_migration_is_that_of_compose_without_the_demo() -> None:
    [ours] = migration()["containers"]
    theirs = compose.services()["migrate"]["command"]
    assert ours["command"][:2] == theirs[:2]
    assert ours["command"][2].splitlines()[:-1] == theirs[2].splitlines()[:2]


def test_the_static_files_of_all_versions_are_where_each_front_server_looks() -> None:
    """A page of the new version is shown by a front server of the former one, and the other way round."""
    folder = re.findall(r"\{\$OVERLORD_STATIC_OF_ALL:(\S+)\}", CADDYFILE.read_text())
    [claim] = kubernetes.of("migrate", "PersistentVolumeClaim").values()
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    front = of_base("Deployment")["front"]["spec"]["template"]["spec"]
    for pod, only_read in ((migration(), False), (front, True)):
        [volume] = [
            each["name"]
            for each in pod["volumes"]
            if each.get("persistentVolumeClaim", {}).get("claimName") == claim["metadata"]["name"]
        ]
        [mounted] = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == volume]
        assert [mounted["mountPath"]] == folder
        assert mounted.get("readOnly", False) is only_read
    copied = shlex.split(compose.services()["static"]["command"])[:-1]
    [job] = migration()["containers"]
    assert shlex.split(job["command"][2].splitlines()[-1]) == [*copied, f"{folder[0]}/"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_process_is_bounded_and_may_do_no_more_than_it_needs(name: str) -> None:
    pod = of_base("Deployment")[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for each in (container(name), *pod.get("initContainers", [])):
        context = each["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
        assert {"cpu", "memory"} <= each["resources"]["requests"].keys()
        assert "memory" in each["resources"]["limits"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_process_is_watched_and_has_time_to_end(name: str) -> None:
    """Give each longer to end than its wait before and the ten seconds that our processes need."""
    pod = of_base("Deployment")[name]["spec"]["template"]["spec"]
    waits = (
        container(name).get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    )
    assert pod["terminationGracePeriodSeconds"] >= int(waits[1]) + 15
    assert "livenessProbe" in container(name)
    assert ("readinessProbe" in container(name)) is (name in ANSWERING)
    assert (int(waits[1]) > 0) is (name in ANSWERING), "a server waits until no more requests are sent to it"


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "Service", "HorizontalPodAutoscaler"])
def test_each_selector_matches_its_deployment(kind: str) -> None:
    deployments = of_base("Deployment")
    for name, document in of_base(kind).items():
        spec = document["spec"]
        if kind == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] == name
            assert "replicas" not in deployments[name]["spec"], "the autoscaler sets the number"
            continue
        selector = spec["selector"]["matchLabels"] if kind == "PodDisruptionBudget" else spec["selector"]
        assert selector == deployments[name]["spec"]["template"]["metadata"]["labels"]


def test_draining_a_node_stops_one_replica_of_each_at_a_time() -> None:
    budgets = of_base("PodDisruptionBudget")
    assert budgets.keys() == set(DEPLOYMENTS) - {"beat"}
    assert all(budget["spec"]["maxUnavailable"] == 1 for budget in budgets.values())


@pytest.mark.parametrize("overlay", ["production", "servers"])
def test_the_listed_settings_and_secrets_are_all_that_production_needs(tmp_path: Path, overlay: str) -> None:
    secrets = {
        "SECRET_KEY": "s" * 50,
        "STRIPE_SECRET_KEY": "sk_1",
        "STRIPE_PUBLISHABLE_KEY": "pk_1",
        "STRIPE_WEBHOOK_SECRETS": "whsec_1",
    }
    given: dict[str, str] = {}
    for file in ("production/settings.env", f"{overlay}/secrets.env.template"):
        for line in (FOLDER / "overlays" / file).read_text().splitlines():
            name, _, value = line.partition("=")
            given[name] = value or secrets.pop(name)
    assert not secrets
    read = settings_reader.reader(tmp_path)(**given)
    assert read["PRODUCTION"] is True
    assert read["DATABASE_DIRECT_URL"]
