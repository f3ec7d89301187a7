"""What it costs to add seeds because of what was seen: said in one place, for pages and terminal."""

# Shares of studies of two equal arms in which a paired t test falls below 0.05 at one of its looks, in percent; of
# 200,000 simulated studies: 8.8 and 16.7.
TWO_LOOKS = 9  # after 5 and after 10 seeds
EVERY_LOOK = 17  # after each seed from 3 to 10
NOMINAL = 5

PRICE = (
    "Seeds added because of the results make p values too small: with no true difference, p < 0.05 comes up in "
    f"{TWO_LOOKS} % of studies instead of {NOMINAL} % after looks at 5 and at 10 seeds, and in {EVERY_LOOK} % after a "
    "look at each seed from 3 to 10."
)
