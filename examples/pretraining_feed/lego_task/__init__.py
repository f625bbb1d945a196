"""The LEGO task of Skill-It: chains of assignments, by five skills."""
