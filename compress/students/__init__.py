"""Students that distillation teaches: below the transformer, of told sizes, or pretrained by somebody."""
