"""x"""

import pytest


@pytest.mark.parametrize("n", range(3000))
def test_n(n):
    assert n >= 0
