"""Training: data -> model -> checkpoint -> evaluation -> bundle. The only part of Strata that needs torch."""
