"""Playing scenarios: conversations of several lines, said one after the other or over a reply."""
