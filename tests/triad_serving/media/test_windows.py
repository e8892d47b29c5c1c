import pytest

from triad_serving.media.windows import spread


@pytest.mark.parametrize("tokens", range(1, 60))
@pytest.mark.parametrize(("longest", "overlap"), [(10, 4), (10, 3), (7, 0), (2, 1)])
def test_every_token_counts_once_and_hears_what_is_around_it(tokens: int, longest: int, overlap: int) -> None:
    windows = spread(tokens, longest=longest, overlap=overlap)
    counted = [first + own for first, kept in windows for own in range(kept.start, kept.stop)]
    assert counted == list(range(tokens))
    for first, kept in windows:
        assert kept.stop <= min(longest, tokens - first)
        assert first == 0 or kept.start == overlap // 2
        assert first + kept.stop == tokens or longest - kept.stop >= overlap // 2
