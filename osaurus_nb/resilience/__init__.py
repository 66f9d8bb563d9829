"""What to do when something fails: values and rules only. No I/O, no sleeping, no clock or chance of its own.

`classify` reads an error and gives the `Verdict` that all others go by. How the pieces go together, for one question:

    deadline = Deadline.after(request.route.deadline, now)              # a moment: nothing that arrives moves it
    for each candidate, those of Outliers.ejected last:
        Breakers.ask(provider, model)  -> Refusal: the next one         # exactly one probe where somebody failed
        deadline.within(timeouts, now, behind)                          # its share of the time that is left
        budget.asked()                                                  # RetryBudget: one for each provider
        it works:  permit.answering() at the first word, permit.succeeded(), budget.worked(), outliers.note(provider)
        it fails:  verdict = classify(error, committed=…)
                   permit.failed(verdict), outliers.note(provider, verdict)
                   Repeats.wait(verdict, …) -> seconds: the same again (and ask the breakers again), None: by its kind

`retry_after` reads how long a provider wants to be left alone, `Backoff` draws the pause where it says nothing, and
`shedding.Door` stands before it all and turns questions away when there are too many. `Breakers.conditions` and
`Outliers.rate` are what a status shows. Breakers may be used from many threads; the others belong to one event loop.
"""
