"""Programs that measure poseedge against what people do today."""
