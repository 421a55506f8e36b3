"""How a service that has limits and prices is called: pace, patience and money, decided apart from any transport."""
