// Loaded on every page of the console, right after htmx: it must add no style of its own, the policy refuses it.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
