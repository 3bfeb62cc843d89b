"""Views of a run: what people look at. Everything here reads; only the Runner's parts are fed while training runs.

captions       what a run is called in a title, a legend, a table
seeds          statistics over runs that differ by their seed: IQM, bootstrap intervals; pure functions
overlay        several runs in one picture: `actorrl plot`
board          TensorBoard's files, fed by the Runner
timeline       where the time of each role goes, fed by the Runner; timeline.json
episode        one greedy episode, recorded with pictures and with what the agent made of each observation
report         one HTML file of all of it: `actorrl report`
"""
