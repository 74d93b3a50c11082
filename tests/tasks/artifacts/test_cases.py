"""Cases: what follows from a protocol, and that a manifest keeps them."""

from tasks.artifacts.cases import Case


def test_case_names_the_test_set_and_the_views_of_its_protocol() -> None:
    cases = [Case("stage3", "sparse", 4), Case("neus", "ring", 1), Case("syncdreamer", "gso", 1)]
    assert [(case.name, case.test_set, str(case.scored), case.copied) for case in cases] == [
        ("stage3-sparse-4", "test_views", "t", "c00"),
        ("neus-ring-1", "test_views", "r", "r00"),
        ("syncdreamer-gso-1", "gso_eval", "r", "r00"),
    ]
    assert [Case.from_json(case.as_json()) for case in cases] == cases
